"""The package `holidays`: which days Vietnam has off. Knows nothing of loa, which reckons the same days from the law and the moon."""

from pathlib import Path

import holidays

from stage import promise

YEARS = range(2020, 2027)

# The calendar's own test holds loa's reckoning against the same table.
TABLE = Path("src/domain/calendar/holidays.tsv")


def table():
    """One line a day off, or a weekend that is worked in exchange: the date, what it is."""
    for year in YEARS:
        vietnam = holidays.country_holidays("VN", years=year)
        days = [(day, kind(name)) for day, name in vietnam.items()]
        days += [(day, "worked") for day in vietnam.weekend_workdays if day.year == year]
        yield from (f"{day}\t{what}\n" for day, what in sorted(days))


def kind(name):
    if name.startswith("Day off (substituted from"):
        return "exchanged"
    return "substitute" if name.endswith("(observed)") else "holiday"


@promise
def the_table_of_days_off_is_what_the_package_says(_simulator):
    assert TABLE.read_text() == "".join(table())
