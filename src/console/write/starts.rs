//! Texts to begin with, for what this province warns of most. Gaps stand in square brackets, and nothing is submitted with one left.

use crate::domain::alert::Typed;
use crate::domain::wording::Tongue;

/// A text to begin with.
#[derive(Debug)]
pub struct Start {
    /// As the page's form names it.
    pub id: &'static str,
    vi: &'static str,
    en: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

impl Start {
    /// As people choose it.
    pub fn name(&self, t: Tongue) -> &'static str {
        t.pick(self.vi, self.en)
    }
}

/// Every alert is called back with these words unless its author writes others: they are true of whatever it said.
const RECALL: [(&str, &str); 2] = [
    ("recall.texts.vi.headline", "Tin vừa phát không còn giá trị"),
    (
        "recall.texts.vi.body",
        "Tin phát trước đó không đúng hoặc không còn đúng. Xin đừng làm theo. Cơ quan chức năng sẽ thông báo khi có tin mới.",
    ),
];

/// What stands in a new form.
pub fn begin(id: &str) -> Typed {
    let mut typed = Typed::default();
    for (name, value) in RECALL {
        typed.set(name, value);
    }
    if let Some(start) = STARTS.iter().find(|start| start.id == id) {
        // Of several that a phone has shown, it must be clear which one.
        let recall = format!("Tin “{}” vừa phát không còn giá trị", start.vi);
        typed.set("recall.texts.vi.headline", recall);
        for (name, value) in start.fields {
            typed.set(*name, *value);
        }
    }
    typed
}

/// What there is to begin with.
pub const STARTS: [Start; 6] = [
    Start {
        id: "flash-flood",
        vi: "Lũ quét, sạt lở",
        en: "Flash flood, landslide",
        fields: &[
            ("kind", "warning"),
            ("category", "natural_disaster"),
            ("urgency", "immediate"),
            ("texts.vi.headline", "Nguy cơ lũ quét, sạt lở tại [nơi]: rời khỏi ven suối, chân dốc"),
            (
                "texts.vi.instruction",
                "Rời ngay nhà ven suối, chân dốc, lên [nơi cao, nơi tránh]. Không qua ngầm tràn, suối. Giúp người già, trẻ nhỏ. Cần cứu: gọi [số điện thoại].",
            ),
            ("texts.vi.body", "Mưa [bao nhiêu] mm trong [bao lâu] qua; nước suối đang lên nhanh."),
            ("all_clear.texts.vi.headline", "Hết nguy cơ lũ quét, sạt lở"),
            (
                "all_clear.texts.vi.body",
                "Mưa đã giảm, mực nước đã xuống. Trước khi về nhà hãy xem kỹ nền, mái, sườn dốc quanh nhà.",
            ),
        ],
    },
    Start {
        id: "storm",
        vi: "Mưa lớn, bão",
        en: "Heavy rain, storm",
        fields: &[
            ("kind", "warning"),
            ("category", "natural_disaster"),
            ("urgency", "expected"),
            (
                "texts.vi.headline",
                "Mưa rất to từ [giờ, ngày]: hạn chế ra ngoài, tránh xa sông suối",
            ),
            (
                "texts.vi.instruction",
                "Chằng chống nhà cửa, đưa gia súc vào chuồng, sạc đầy điện thoại. Không qua ngầm tràn. Nghe theo hướng dẫn của chính quyền xã.",
            ),
            (
                "texts.vi.body",
                "Dự báo mưa [bao nhiêu] mm, có nơi trên [bao nhiêu] mm, kéo dài đến [giờ, ngày].",
            ),
            ("all_clear.texts.vi.headline", "Mưa lớn đã kết thúc"),
            (
                "all_clear.texts.vi.body",
                "Mưa đã ngớt trên cả tỉnh. Vẫn tránh xa sườn dốc đã ngấm nước.",
            ),
        ],
    },
    Start {
        id: "water-release",
        vi: "Xả nước hồ chứa",
        en: "Reservoir release",
        fields: &[
            ("kind", "warning"),
            ("category", "natural_disaster"),
            ("urgency", "expected"),
            ("texts.vi.headline", "[Tên hồ] xả nước từ [giờ]: rời khỏi lòng sông, bãi sông"),
            (
                "texts.vi.instruction",
                "Đưa người, gia súc, thuyền bè lên bờ cao trước [giờ]. Không vớt củi, không đánh cá, không qua sông.",
            ),
            (
                "texts.vi.body",
                "Lưu lượng xả [bao nhiêu] m³/s; nước hạ lưu có thể lên [bao nhiêu] m.",
            ),
            ("all_clear.texts.vi.headline", "[Tên hồ] đã ngừng xả nước"),
            (
                "all_clear.texts.vi.body",
                "Nước hạ lưu đang xuống. Chỉ xuống bãi sông khi nước đã rút hẳn.",
            ),
        ],
    },
    Start {
        id: "cold",
        vi: "Rét hại, băng giá",
        en: "Severe cold, frost",
        fields: &[
            ("kind", "warning"),
            ("category", "natural_disaster"),
            ("urgency", "expected"),
            ("texts.vi.headline", "Rét hại từ [ngày], nhiệt độ xuống [bao nhiêu] độ"),
            (
                "texts.vi.instruction",
                "Giữ ấm cho người già, trẻ nhỏ. Tuyệt đối không sưởi than trong phòng kín. Che chắn chuồng trại, dự trữ thức ăn cho gia súc.",
            ),
            (
                "texts.vi.body",
                "Vùng cao có thể có băng giá, sương muối. Đợt rét kéo dài đến [ngày].",
            ),
        ],
    },
    Start {
        id: "forest-fire",
        vi: "Nguy cơ cháy rừng",
        en: "Forest fire danger",
        fields: &[
            ("kind", "warning"),
            ("category", "fire"),
            ("urgency", "expected"),
            (
                "texts.vi.headline",
                "Nguy cơ cháy rừng cấp [mấy]: không đốt nương, không dùng lửa trong rừng",
            ),
            (
                "texts.vi.instruction",
                "Không đốt nương, đốt ong, thắp hương, nấu ăn trong rừng và ven rừng. Thấy cháy: báo ngay kiểm lâm [số điện thoại] hoặc 114.",
            ),
            ("texts.vi.body", "Nắng nóng, hanh khô kéo dài đến [ngày]."),
        ],
    },
    Start {
        id: "announcement",
        vi: "Thông tin tuyên truyền",
        en: "Announcement",
        fields: &[
            ("kind", "announcement"),
            ("severity", "minor"),
            ("urgency", "future"),
            ("certainty", "observed"),
            ("texts.vi.headline", "[Việc gì, từ bao giờ]"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::{AlertContent, Category, Certainty, Kind, Severity, Urgency};

    #[test]
    fn what_a_start_chooses_exists() {
        for start in &STARTS {
            let typed = begin(start.id);
            for (name, words) in [
                ("kind", Kind::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
                ("category", Category::ALL.iter().map(|it| it.as_str()).collect()),
                ("severity", Severity::ALL.iter().map(|it| it.as_str()).collect()),
                ("urgency", Urgency::ALL.iter().map(|it| it.as_str()).collect()),
                ("certainty", Certainty::ALL.iter().map(|it| it.as_str()).collect()),
            ] {
                let value = typed.get(name);
                assert!(value.is_empty() || words.contains(&value), "{}: {name} {value}", start.id);
            }
        }
    }

    #[test]
    fn no_start_goes_out_with_its_gaps_and_every_text_of_one_fits() {
        let now = time::macros::datetime!(2026-11-21 03:00 UTC);
        for start in &STARTS {
            let broken: Result<AlertContent, _> = begin(start.id).content(now);
            let broken = broken.expect_err("nothing to begin with is whole");
            assert!(broken.iter().any(|one| one.rule == "gap"), "{}", start.id);
            assert!(broken.iter().all(|one| one.rule != "too_long"), "{}: {broken:?}", start.id);
        }
    }

    #[test]
    fn an_unknown_start_is_an_empty_form_with_its_recall() {
        assert_eq!(begin("").fields().len(), RECALL.len());
    }
}
