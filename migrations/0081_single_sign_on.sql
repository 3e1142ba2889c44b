-- Whom the province's single sign-on (OpenID Connect) speaks of, account by account.

create table single_sign_on (
    issuer text not null,
    subject text not null check (length(subject) between 1 and 255),
    officer_id uuid not null unique references officer,
    linked_at timestamptz not null,
    used_at timestamptz,
    primary key (issuer, subject)
);
comment on table single_sign_on is 'Which account a subject of the single sign-on enters. Linked by whoever was let into the account otherwise; nothing is made of a token alone.';
