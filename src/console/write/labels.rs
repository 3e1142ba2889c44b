//! What the fields of the form are called, in its own words: for labels, for errors and for what somebody else changed.

use crate::domain::wording::{self, Tongue};

/// The name of a field.
pub fn label(field: &str, t: Tongue) -> String {
    if let Some((path, tag, part)) = told(field) {
        let what = match part {
            "headline" => t.pick("Tiêu đề", "Headline"),
            "instruction" => t.pick("Người dân cần làm gì", "What people must do"),
            _ => t.pick("Nội dung", "Text"),
        };
        let whose = match path {
            "recall.texts" => t.pick(" (tin thu hồi)", " (recall)"),
            "all_clear.texts" => t.pick(" (tin báo yên)", " (all-clear)"),
            _ => "",
        };
        let language = match tag {
            "vi" => String::new(),
            other => format!(", {}", wording::language_name(other)),
        };
        return format!("{what}{whose}{language}");
    }
    single(field, t).to_owned()
}

fn told(field: &str) -> Option<(&str, &str, &str)> {
    let path = ["recall.texts", "all_clear.texts", "texts"]
        .into_iter()
        .find(|path| field.starts_with(&format!("{path}.")))?;
    let rest = &field[path.len() + 1..];
    let (tag, part) = rest.split_once('.').unwrap_or((rest, "headline"));
    Some((path, tag, part))
}

fn single(field: &str, t: Tongue) -> &'static str {
    let (vi, en) = match field {
        "status" => ("Thật hay diễn tập", "Real or a drill"),
        "kind" => ("Loại tin", "Kind"),
        "category" => ("Lĩnh vực", "Category"),
        "risk_level" => ("Cấp độ rủi ro thiên tai", "Natural-disaster risk level"),
        "severity" => ("Mức nghiêm trọng", "Severity"),
        "urgency" => ("Mức khẩn", "Urgency"),
        "certainty" => ("Độ chắc chắn", "Certainty"),
        "communes" => ("Xã, phường liên quan", "Communes concerned"),
        "link" => ("Liên kết đọc thêm", "Link to read more"),
        "effective" => ("Bắt đầu có hiệu lực", "Holds from"),
        "send_at" => ("Hẹn giờ phát", "Send at"),
        "expires" => ("Hết hiệu lực", "Ends"),
        "source.number" => ("Số, ký hiệu văn bản", "Document number"),
        "source.date" => ("Ngày văn bản", "Document date"),
        "source.summary" => ("Trích yếu", "What it is about"),
        "document" => ("Tệp văn bản", "Document file"),
        "attestations.whole_province" | "attestations.no_state_secret" => {
            ("Cam kết", "What you vouch for")
        }
        "recall" => ("Tin thu hồi soạn sẵn", "Prepared recall"),
        "all_clear" => ("Tin báo yên soạn sẵn", "Prepared all-clear"),
        "follows.alert" | "follows.as" => ("Tin được thay thế", "Alert it takes the place of"),
        "languages" => ("Ngôn ngữ", "Languages"),
        "template.name" => ("Tên mẫu", "Name of the template"),
        "template.life_minutes" => {
            ("Hiệu lực sau khi điền, phút", "Lives, once filled in, minutes")
        }
        "template.blanks.place.options" => ("Địa danh, mỗi dòng một", "Places, one a line"),
        "template.blanks.place.at_most" => ("Chọn nhiều nhất", "At most at once"),
        "template.blanks.time.within_hours" => {
            ("Thời điểm trong vòng, giờ", "Time within so many hours")
        }
        "template.blanks.level.min" => ("Cấp thấp nhất", "Lowest level"),
        "template.blanks.level.max" => ("Cấp cao nhất", "Highest level"),
        name if name.starts_with("template") => ("Mẫu duyệt trước", "Template"),
        _ => ("Bản nháp", "Draft"),
    };
    t.pick(vi, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_called_as_the_form_calls_them() {
        let vi = |field| label(field, Tongue::Vi);
        assert_eq!(vi("texts.vi.headline"), "Tiêu đề");
        assert_eq!(vi("recall.texts.tyz.body"), "Nội dung (tin thu hồi), Tày");
        assert_eq!(vi("recall.texts.vi"), "Tiêu đề (tin thu hồi)");
        assert_eq!(vi("expires"), "Hết hiệu lực");
        assert_eq!(label("source.date", Tongue::En), "Document date");
    }
}
