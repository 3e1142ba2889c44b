-- Dispatchers read the addresses of many phones as one text with spaces between them. Registration has never let one in; a row written by
-- hand must not make its neighbours unreadable. Not checked against rows that are there: that would keep registrations waiting.
alter table device add constraint device_address_without_space check (position(' ' in address) = 0) not valid;
