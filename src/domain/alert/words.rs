//! The closed lists an alert chooses from, each with the word programs use and the one people read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal, $vi:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What people read.
            pub fn label_vi(self) -> &'static str {
                match self { $(Self::$variant => $vi),+ }
            }

            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

words!(
    /// The two kinds of QC-CB 3.10.
    Kind {
        /// *Cảnh báo*.
        Warning = "warning", "Cảnh báo";
        /// *Thông tin tuyên truyền*.
        Announcement = "announcement", "Thông tin tuyên truyền";
    }
);
words!(
    /// Whether it is meant (CAP 1.2 `status`).
    #[derive(Default)]
    Status {
        /// What happens, happens.
        #[default]
        Actual = "actual", "Thật";
        /// A drill: to the drill group only, and marked on every screen.
        Exercise = "exercise", "Diễn tập";
    }
);
words!(
    /// Categories from QC-CB 9.2.c and common practice.
    Category {
        /// Natural disaster.
        NaturalDisaster = "natural_disaster", "Thiên tai";
        /// Epidemic, of people or animals.
        Epidemic = "epidemic", "Dịch bệnh";
        /// Accident.
        Accident = "accident", "Tai nạn";
        /// Fire and explosion.
        Fire = "fire", "Cháy nổ";
        /// Security and order.
        Security = "security", "An ninh trật tự";
        /// Traffic.
        Traffic = "traffic", "Giao thông";
        /// Environment.
        Environment = "environment", "Môi trường";
        /// Health.
        Health = "health", "Y tế";
        /// Infrastructure and utilities.
        Infrastructure = "infrastructure", "Hạ tầng";
        /// Fraud.
        Fraud = "fraud", "Lừa đảo";
        /// Anything else.
        Other = "other", "Khác";
    }
);
words!(
    /// CAP 1.2 severity.
    Severity {
        /// Extraordinary threat to life or property.
        Extreme = "extreme", "Đặc biệt nghiêm trọng";
        /// Significant threat.
        Severe = "severe", "Nghiêm trọng";
        /// Possible threat.
        Moderate = "moderate", "Trung bình";
        /// Minimal threat.
        Minor = "minor", "Nhẹ";
    }
);
words!(
    /// CAP 1.2 urgency.
    Urgency {
        /// Act now.
        Immediate = "immediate", "Hành động ngay";
        /// Act soon (within the next hour).
        Expected = "expected", "Hành động sớm";
        /// Act in the near future.
        Future = "future", "Sắp tới";
    }
);
words!(
    /// CAP 1.2 certainty.
    Certainty {
        /// Has occurred or is ongoing.
        Observed = "observed", "Đang xảy ra";
        /// More likely than not.
        Likely = "likely", "Nhiều khả năng";
        /// Possible, not likely.
        Possible = "possible", "Có thể";
        /// Not expected to occur.
        Unlikely = "unlikely", "Ít khả năng";
    }
);

impl Status {
    /// Is it meant? What is not written says that it is.
    pub fn is_actual(&self) -> bool {
        match self {
            Self::Actual => true,
            Self::Exercise => false,
        }
    }

    /// What stands before everything a drill shows, in the language `tag`.
    pub fn mark(self, tag: &str) -> Option<&'static str> {
        match self {
            Self::Actual => None,
            Self::Exercise if tag == "en" => Some("DRILL"),
            Self::Exercise => Some("DIỄN TẬP"),
        }
    }
}
