use super::*;

const LIMIT: usize = 1000;

fn take(content: &[u8], declared: Option<&str>) -> Result<Document, DocumentError> {
    let mut upload = Upload::new(LIMIT);
    for piece in content.chunks(7) {
        upload.push(piece)?;
    }
    upload.finish(declared)
}

fn pdf() -> Vec<u8> {
    b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nxref\n0 1\ntrailer\n<<>>\nstartxref\n30\n%%EOF\n".to_vec()
}

fn png() -> Vec<u8> {
    let chunk = |kind: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let named = [kind, body].concat();
        [&length[..], &named, &crc32(&named).to_be_bytes()].concat()
    };
    let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    [PNG_SIGNATURE.to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[1]), chunk(b"IEND", &[])]
        .concat()
}

fn jpeg() -> Vec<u8> {
    [
        &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0][..],
        &[0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0],
        &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x55],
        &[0xff, 0xd9],
    ]
    .concat()
}

#[test]
fn each_of_the_three_types_is_known_by_its_content() {
    for (content, name) in
        [(pdf(), "application/pdf"), (png(), "image/png"), (jpeg(), "image/jpeg")]
    {
        let taken = take(&content, None).unwrap();
        assert_eq!(taken.media_type().as_str(), name);
        assert_eq!(taken.content(), content);
        assert!(take(&content, Some(name)).is_ok());
        assert!(take(&content, Some("application/octet-stream")).is_ok());
    }
}

#[test]
fn the_checksum_of_png_is_the_standard_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_page_of_script_is_refused_at_its_first_bytes() {
    let mut upload = Upload::new(LIMIT);
    assert_eq!(upload.push(b"<!doctype html><script>"), Err(DocumentError::UnknownType));
}

#[test]
fn script_behind_the_first_bytes_of_a_document_is_no_document() {
    for (start, found) in [
        (&b"%PDF-1.7\n"[..], MediaType::Pdf),
        (PNG_SIGNATURE, MediaType::Png),
        (&[0xff, 0xd8, 0xff][..], MediaType::Jpeg),
    ] {
        let spoofed = [start, b"<script>alert(1)</script>"].concat();
        assert_eq!(take(&spoofed, None).unwrap_err(), DocumentError::Broken(found));
    }
}

#[test]
fn nothing_rides_behind_a_whole_document() {
    for content in [pdf(), png(), jpeg()] {
        let ridden = [content, b"<script>alert(1)</script>".to_vec()].concat();
        assert!(matches!(take(&ridden, None), Err(DocumentError::Broken(_))));
    }
}

#[test]
fn a_cut_document_is_not_whole() {
    for content in [pdf(), png(), jpeg()] {
        for kept in 8..content.len() - 1 {
            assert!(
                matches!(take(&content[..kept], None), Err(DocumentError::Broken(_))),
                "{kept} of {}",
                content.len()
            );
        }
    }
}

#[test]
fn what_the_client_calls_it_must_be_what_it_is() {
    assert_eq!(
        take(&pdf(), Some("image/png; name=a")).unwrap_err(),
        DocumentError::Declared { declared: "image/png".into(), found: MediaType::Pdf }
    );
}

#[test]
fn the_limit_holds_to_the_byte() {
    let mut content = pdf();
    content.resize(LIMIT, b'\n');
    assert!(take(&content, None).is_ok());
    content.push(b'\n');
    assert_eq!(take(&content, None).unwrap_err(), DocumentError::TooLarge(LIMIT));
}

#[test]
fn nothing_is_no_document() {
    assert_eq!(take(&[], None).unwrap_err(), DocumentError::Empty);
}
