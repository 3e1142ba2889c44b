#!/usr/bin/env python3
"""Draws the sample source documents, demo/documents/NN.pdf, and checks the demo's alerts.

    python3 demo/make_documents.py            draw all of them (needs reportlab, fonttools and FreeSerif)
    python3 demo/make_documents.py --check    check the JSON files and that every PDF is there (needs nothing)

Each PDF has the parts and the order of Nghị định 30/2020/NĐ-CP, Phụ lục I (quốc hiệu, tên cơ quan, số và ký hiệu, địa danh
và ngày, trích yếu, nơi nhận, chữ ký), so that an approver sees in the demo what arrives in an office. Every number, text and
agency unit in them is invented; each page says so. The PDFs are committed: running this is needed only after a text changes.
"""

import argparse
import json
import sys
import tempfile
import unicodedata
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTICE = "TÀI LIỆU MẪU — KHÔNG CÓ GIÁ TRỊ PHÁP LÝ"
MAX_PDF = 60 * 1024
FONTS = Path("/usr/share/fonts/truetype/freefont")  # Debian package fonts-freefont-ttf; it has all Vietnamese letters

FACES = {"Serif": "FreeSerif", "Serif-Bold": "FreeSerifBold", "Serif-Italic": "FreeSerifItalic", "Serif-BoldItalic": "FreeSerifBoldItalic"}
# What `draw` prints beside the texts.
PRINTED = "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM Độc lập - Tự do - Hạnh phúc Cao Bằng, ngày tháng năm Số: Kính gửi: Nơi nhận: ./.;(Bản mẫu, không ký, không đóng dấu)0123456789"

# Who signs above whom: (parent, agency) as printed in the left block.
ISSUERS = {
    "SKHCN": ("UBND TỈNH CAO BẰNG", ["SỞ KHOA HỌC VÀ CÔNG NGHỆ"]),
    "BCHPTDS": ("UBND TỈNH CAO BẰNG", ["BAN CHỈ HUY", "PHÒNG THỦ DÂN SỰ"]),
    "SNNMT": ("UBND TỈNH CAO BẰNG", ["SỞ NÔNG NGHIỆP", "VÀ MÔI TRƯỜNG"]),
    "SYT": ("UBND TỈNH CAO BẰNG", ["SỞ Y TẾ"]),
    "CAT": ("BỘ CÔNG AN", ["CÔNG AN TỈNH CAO BẰNG"]),
    "SXD": ("UBND TỈNH CAO BẰNG", ["SỞ XÂY DỰNG"]),
    "PCCB": ("TỔNG CÔNG TY ĐIỆN LỰC", ["CÔNG TY ĐIỆN LỰC", "CAO BẰNG"]),
    "VPUBND": (None, ["ỦY BAN NHÂN DÂN", "TỈNH CAO BẰNG"]),
}

KINDS = {"warning", "announcement"}
CATEGORIES = {
    "natural_disaster", "epidemic", "accident", "fire", "security", "traffic",
    "environment", "health", "infrastructure", "fraud", "other",
}
SEVERITIES = {"extreme", "severe", "moderate", "minor"}
URGENCIES = {"immediate", "expected", "future"}
CERTAINTIES = {"observed", "likely", "possible", "unlikely"}


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def alerts():
    return [(path, load(path)) for path in sorted((HERE / "alerts").glob("*.json"))]


def check():
    """Every broken rule, one line each; an empty list is a good demo."""
    broken = []

    def expect(ok, where, rule):
        if not ok:
            broken.append(f"{where}: {rule}")

    agencies = {agency["code"]: agency for agency in load(HERE / "agencies.json")["agencies"]}
    submitters = {
        code for code, agency in agencies.items()
        if any(officer["role"] == "submitter" for officer in agency["officers"])
    }
    for code, agency in agencies.items():
        for officer in agency["officers"]:
            expect(officer["role"] != "approver" or agency["focal"], code, "only the focal unit has approvers (QC-CB 12.2)")
    texts = load(HERE / "documents" / "texts.json")
    accepted = refused = 0
    for path, alert in alerts():
        name, request = path.name, alert["request"]
        raw = path.read_text(encoding="utf-8")
        expect(unicodedata.is_normalized("NFC", raw), name, "text must be NFC")
        expect(alert["agency"] in submitters, name, "its agency has nobody who may submit")
        expect(request["kind"] in KINDS, name, "kind")
        expect(request["category"] in CATEGORIES, name, "category")
        expect(request["severity"] in SEVERITIES, name, "severity")
        expect(request["urgency"] in URGENCIES, name, "urgency")
        expect(request["certainty"] in CERTAINTIES, name, "certainty")
        expect(request["risk_level"] in (None, 1, 2, 3, 4, 5), name, "risk_level is 1 to 5 or null (QĐ 18/2021/QĐ-TTg)")
        expect("vi" in request["texts"], name, "Vietnamese is always among the languages")
        expect(5 <= alert["expires_in_minutes"] <= 28 * 24 * 60, name, "providers keep a message for at most 28 days")
        for language, text in request["texts"].items():
            expect(len(text["headline"]) <= 100, name, f"{language} headline is longer than 100 characters")
            expect(len(text["instruction"]) <= 600, name, f"{language} instruction is longer than 600 characters")
            size = sum(len(value.encode()) for value in text.values())
            expect(size <= 2500, name, f"{language} text of {size} bytes leaves no room in a 4 KB push")
        expect(request["recall"] is not None, name, "an alert is submitted with its recall text")
        if request["recall"] is not None:
            expect(
                set(request["recall"]["texts"]) == set(request["texts"]), name,
                "whoever was warned in a language is told of the recall in it",
            )
        if "all_clear" in request:
            expect(
                set(request["all_clear"]["texts"]) == set(request["texts"]), name,
                "whoever was warned in a language is told in it that the danger is over",
            )
        source = request["source"]
        expect(all(source[key] for key in ("number", "date", "summary")), name, "number, date and summary of the source")
        if request["recall"] is not None:
            told = request["recall"]["texts"]["vi"]["body"]
            expect(source["number"] in told, name, "the recall names the document it recalls")
        local = not request["attestations"]["whole_province"]
        expect(local == (alert["expect"] == "refused"), name, "only a local matter is refused here (QC-CB 12.3)")
        accepted, refused = accepted + (not local), refused + local
        pdf = HERE / alert["document"]
        expect(pdf.stem in texts, name, f"documents/texts.json lacks {pdf.stem}")
        expect(pdf.is_file() and pdf.read_bytes().startswith(b"%PDF-"), name, f"{alert['document']} is missing or no PDF")
        expect(not pdf.is_file() or pdf.stat().st_size <= MAX_PDF, name, f"{alert['document']} is larger than {MAX_PDF} bytes")
    expect(accepted >= 12, "alerts", "at least 12 that must be accepted")
    expect(refused >= 2, "alerts", "at least 2 that must be refused")
    return broken, accepted, refused


def place_and_date(iso):
    year, month, day = iso.split("-")
    # Nghị định 30: a leading zero for days below 10 and for January and February only.
    shown = month if int(month) < 3 else str(int(month))
    return f"Cao Bằng, ngày {day} tháng {shown} năm {year}"


def draw(alert, text, target):
    from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.platypus import HRFlowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    def style(name, **more):
        return ParagraphStyle(name, **{"fontName": "Serif", "fontSize": 13, "leading": 17, **more})

    centre = style("centre", alignment=TA_CENTER)
    small_centre = style("small", alignment=TA_CENTER, fontSize=12, leading=15)
    body = style("body", alignment=TA_JUSTIFY, firstLineIndent=12 * mm, spaceAfter=6)
    copies = style("copies", fontSize=11, leading=13.5)

    def rule(width):
        return HRFlowable(width=width, thickness=0.7, hAlign="CENTER", color="black", spaceBefore=4, spaceAfter=4)

    source = alert["request"]["source"]
    parent, agency = ISSUERS[alert["agency"]]
    left = [Paragraph(parent, small_centre)] if parent else []
    left += [Paragraph(f"<b>{line}</b>", small_centre) for line in agency]
    left += [rule("35%"), Paragraph(f"Số: {source['number']}", centre)]
    summary = source["summary"]
    if text["form"] is None:  # an official letter carries its summary under the number
        left.append(Paragraph(summary, style("re", alignment=TA_CENTER, fontSize=12, leading=14)))
    right = [
        Paragraph("<b>CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM</b>", small_centre),
        Paragraph("<b>Độc lập - Tự do - Hạnh phúc</b>", centre),
        rule("62%"),
        Spacer(1, 4),
        Paragraph(f"<i>{place_and_date(source['date'])}</i>", centre),
    ]
    width = A4[0] - 50 * mm
    head = Table([[left, right]], colWidths=[width * 0.42, width * 0.58])
    head.setStyle(TableStyle([("ALIGN", (0, 0), (-1, -1), "CENTER"), ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]))
    story = [head, Spacer(1, 8 * mm)]
    if text["form"] is not None:
        story.append(Paragraph(f"<b>{text['form']}</b>", style("form", alignment=TA_CENTER, fontSize=14, leading=18)))
        # The form is already named above it: "Thông báo về …" under THÔNG BÁO would say it twice.
        shown = summary
        if shown.lower().startswith(text["form"].lower() + " "):
            shown = shown[len(text["form"]) + 1:]
            shown = shown[0].upper() + shown[1:]
        story += [Paragraph(f"<b>{shown}</b>", style("title", alignment=TA_CENTER)), rule("22%"), Spacer(1, 3 * mm)]
    if len(text["to"]) == 1:
        story.append(Paragraph(f"Kính gửi: {text['to'][0]}.", centre))
    elif text["to"]:
        rows = [[Paragraph("Kính gửi:" if i == 0 else "", style("to")), Paragraph(f"- {line}{'.' if i == len(text['to']) - 1 else ';'}", style("to"))]
                for i, line in enumerate(text["to"])]
        story.append(Table(rows, colWidths=[24 * mm, 95 * mm], hAlign="CENTER",
                           style=[("TOPPADDING", (0, 0), (-1, -1), 0), ("BOTTOMPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    story.append(Spacer(1, 4 * mm))
    paragraphs = list(text["paragraphs"])
    paragraphs[-1] = paragraphs[-1].rstrip(".") + "./."
    story += [Paragraph(paragraph, body) for paragraph in paragraphs]
    story.append(Spacer(1, 4 * mm))
    recipients = [Paragraph("<b><i>Nơi nhận:</i></b>", style("nn", fontSize=12, leading=15))]
    recipients += [Paragraph(f"- {line}", copies) for line in text["copies"]]
    signature = [Paragraph(f"<b>{line}</b>", centre) for line in text["signer"]]
    signature += [Spacer(1, 14 * mm), Paragraph("<i>(Bản mẫu, không ký, không đóng dấu)</i>", small_centre)]
    foot = Table([[recipients, signature]], colWidths=[width * 0.5, width * 0.5])
    foot.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    story.append(foot)

    def mark(canvas, _document):
        canvas.saveState()
        canvas.setFont("Serif-Bold", 10)
        canvas.setFillColorRGB(0.75, 0.1, 0.1)
        canvas.drawCentredString(A4[0] / 2, A4[1] - 11 * mm, NOTICE)
        canvas.drawCentredString(A4[0] / 2, 9 * mm, NOTICE)
        canvas.translate(A4[0] / 2, A4[1] / 2)
        canvas.rotate(45)
        canvas.setFillColorRGB(0.75, 0.1, 0.1, alpha=0.07)
        canvas.setFont("Serif-Bold", 74)
        canvas.drawCentredString(0, -20, "TÀI LIỆU MẪU")
        canvas.restoreState()

    # invariant: the same text gives the same bytes, so that a new run shows only real changes
    SimpleDocTemplate(
        str(target), pagesize=A4, topMargin=20 * mm, bottomMargin=20 * mm, leftMargin=30 * mm, rightMargin=20 * mm,
        title=f"{source['number']} — {summary}", author=NOTICE, subject=NOTICE, lang="vi-VN", invariant=1,
    ).build(story, onFirstPage=mark, onLaterPages=mark)


def make():
    from reportlab.lib.fonts import addMapping
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    texts = load(HERE / "documents" / "texts.json")
    letters = set(NOTICE) | set(json.dumps([ISSUERS, texts, alerts_sources()], ensure_ascii=False)) | set(PRINTED)
    with tempfile.TemporaryDirectory() as folder:
        faces = {name: small_font(face, letters, Path(folder)) for name, face in FACES.items()}
        draw_all(texts, faces, pdfmetrics, TTFont, addMapping)


def small_font(face, letters, folder):
    """A copy of the face with the letters that the documents use and without hinting: 115 KB a document becomes 42."""
    from fontTools import subset

    options = subset.Options(hinting=False, layout_features=[], notdef_outline=True, drop_tables=["FFTM", "GPOS", "GSUB", "GDEF", "DSIG"])
    font = subset.load_font(str(FONTS / f"{face}.ttf"), options)
    missing = sorted(letter for letter in letters if ord(letter) >= 32 and ord(letter) not in font.getBestCmap())
    if missing:
        sys.exit(f"{face} has no glyph for {' '.join(missing)}: the page would show boxes")
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[ord(letter) for letter in letters])
    subsetter.subset(font)
    path = folder / f"{face}.ttf"
    font.save(path)
    return path


def alerts_sources():
    return [alert["request"]["source"] for _, alert in alerts()]


def draw_all(texts, faces, pdfmetrics, TTFont, addMapping):
    for _, alert in alerts():
        # Registered anew for each file: a font keeps what earlier files used, and the subset would grow from file to file.
        for name, path in faces.items():
            pdfmetrics.registerFont(TTFont(name, str(path)))
        for bold in (0, 1):
            for italic in (0, 1):
                addMapping("Serif", bold, italic, "Serif" + ("-" if bold or italic else "") + "Bold" * bold + "Italic" * italic)
        target = HERE / alert["document"]
        draw(alert, texts[target.stem], target)
        print(f"{target.relative_to(HERE.parent)}  {target.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="draw nothing, only check")
    if not parser.parse_args().check:
        make()
    broken, accepted, refused = check()
    for line in broken:
        print(line, file=sys.stderr)
    if broken:
        sys.exit(1)
    print(f"{accepted} alerts to be accepted, {refused} to be refused: all in order")


if __name__ == "__main__":
    main()
