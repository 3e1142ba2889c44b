use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn raw(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame(&mut out, kind, payload.len());
    out[4] = flags;
    out.put_slice(payload);
    out.to_vec()
}

async fn read_at_most(tap: &mut Tap<tokio::io::DuplexStream>, room: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0; room];
    let read = tap.read(&mut buffer).await.unwrap();
    buffer.truncate(read);
    (read > 0).then_some(buffer)
}

#[tokio::test]
async fn a_frame_of_ours_waits_until_the_frame_under_way_is_complete() {
    let (near, mut far) = tokio::io::duplex(4096);
    let wire = Wire::default();
    let mut tap = Tap::new(near, wire.clone());
    let data = raw(0, 0, b"0123456789");
    tap.write_all(&data[..12]).await.unwrap();
    wire.announce_streams(7);
    tap.write_all(&data[12..]).await.unwrap();
    tap.flush().await.unwrap();
    let mut seen = vec![0; data.len() + 15];
    far.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen[..data.len()], data[..]);
    assert_eq!(seen[data.len()..], raw(SETTINGS, 0, &[0, 3, 0, 0, 0, 7])[..]);
}

#[tokio::test]
async fn only_the_acknowledgement_of_our_settings_is_taken_out_however_the_bytes_are_cut() {
    for (cut, room) in (1..20).flat_map(|cut| [1, 5, 4096].map(|room| (cut, room))) {
        let (near, mut far) = tokio::io::duplex(4096);
        let wire = Wire::default();
        let mut tap = Tap::new(near, wire.clone());
        tap.write_all(&raw(SETTINGS, 0, &[])).await.unwrap();
        wire.announce_streams(1);
        tap.flush().await.unwrap();
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend(raw(SETTINGS, ACK, &[]));
        sent.extend(raw(SETTINGS, ACK, &[]));
        sent.extend(raw(PING, 0, b"12345678"));
        let mut seen = Vec::new();
        for piece in sent.chunks(cut) {
            far.write_all(piece).await.unwrap();
        }
        drop(far);
        while let Some(byte) = read_at_most(&mut tap, room).await {
            seen.extend(byte);
        }
        let mut expected = sent[..PREFACE + HEADER].to_vec();
        expected.extend(raw(PING, 0, b"12345678"));
        assert_eq!(seen, expected, "cut into pieces of {cut}, read {room} at a time");
        assert_eq!(wire.allowed_streams(), (1, 0));
    }
}

#[tokio::test]
async fn a_muted_connection_hides_pings() {
    let (near, mut far) = tokio::io::duplex(4096);
    let wire = Wire::default();
    wire.mute_pings(true);
    let mut tap = Tap::new(near, wire);
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(raw(PING, 0, b"12345678"));
    sent.extend(raw(PING, ACK, b"87654321"));
    far.write_all(&sent).await.unwrap();
    drop(far);
    let mut seen = Vec::new();
    tap.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen[PREFACE..], raw(PING, ACK, b"87654321")[..]);
}
