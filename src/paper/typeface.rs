//! The font of the paper: how wide its letters are, and how it goes into the file whole.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Finish as _, Name, Pdf, Rect, Ref, Str};
use ttf_parser::{Face, GlyphId};

/// The two weights, as the file names them.
pub(super) const FACES: [(&[u8], Name<'static>, Name<'static>); 2] = [
    (
        include_bytes!("../../templates/dossier/font/be-vietnam-pro-400.ttf"),
        Name(b"R"),
        Name(b"BVPREG+BeVietnamPro-Regular"),
    ),
    (
        include_bytes!("../../templates/dossier/font/be-vietnam-pro-600.ttf"),
        Name(b"S"),
        Name(b"BVPSEM+BeVietnamPro-SemiBold"),
    ),
];

/// One weight.
pub(super) struct Typeface {
    face: Face<'static>,
    scale: f32,
    /// Which letter each glyph that was used stands for.
    used: BTreeMap<u16, char>,
}

impl Typeface {
    pub(super) fn of(bytes: &'static [u8]) -> Self {
        // Unwrap safety: the fonts are part of the program, and a test sets a page with them.
        let face = Face::parse(bytes, 0).expect("our own font");
        let scale = 1000.0 / f32::from(face.units_per_em());
        Self { face, scale, used: BTreeMap::new() }
    }

    fn glyph(&self, letter: char) -> GlyphId {
        // Only letters that the font has come here (`legible`).
        self.face.glyph_index(letter).unwrap_or(GlyphId(0))
    }

    pub(super) fn knows(&self, letter: char) -> bool {
        self.face.glyph_index(letter).is_some()
    }

    /// In thousandths of the size.
    fn advance(&self, glyph: GlyphId) -> f32 {
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) * self.scale
    }

    pub(super) fn width(&self, words: &str) -> f32 {
        words.chars().map(|letter| self.advance(self.glyph(letter))).sum::<f32>() / 1000.0
    }

    pub(super) fn encode(&mut self, words: &str) -> Vec<u8> {
        let mut codes = Vec::with_capacity(words.len() * 2);
        for letter in words.chars() {
            let glyph = self.glyph(letter);
            if glyph.0 != 0 {
                self.used.insert(glyph.0, letter);
            }
            codes.extend(glyph.0.to_be_bytes());
        }
        codes
    }

    /// The whole font, and which letters its glyphs are.
    pub(super) fn write(
        &self,
        pdf: &mut Pdf,
        id: Ref,
        name: Name<'_>,
        bytes: &[u8],
        next: &mut impl FnMut() -> Ref,
    ) {
        let (descendant, descriptor, cmap, file) = (next(), next(), next(), next());
        let system =
            SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
        pdf.type0_font(id)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(descendant)
            .to_unicode(cmap);
        let mut cid = pdf.cid_font(descendant);
        cid.subtype(CidFontType::Type2).base_font(name).system_info(system);
        cid.font_descriptor(descriptor)
            .default_width(0.0)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = cid.widths();
        widths.consecutive(0, [self.advance(GlyphId(0))]);
        for glyph in self.used.keys() {
            widths.consecutive(*glyph, [self.advance(GlyphId(*glyph))]);
        }
        widths.finish();
        cid.finish();
        let (face, scale) = (&self.face, self.scale);
        let of = |units: i16| f32::from(units) * scale;
        let bounds = face.global_bounding_box();
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(of(bounds.x_min), of(bounds.y_min), of(bounds.x_max), of(bounds.y_max)))
            .italic_angle(0.0)
            .ascent(of(face.ascender()))
            .descent(of(face.descender()))
            .cap_height(of(face.capital_height().unwrap_or(face.ascender())))
            .stem_v(90.0)
            .font_file2(file);
        let mut letters = UnicodeCmap::new(Name(b"Custom"), system);
        for (glyph, letter) in &self.used {
            letters.pair(*glyph, *letter);
        }
        pdf.cmap(cmap, &letters.finish());
        pdf.stream(file, bytes).pair(Name(b"Length1"), i32::try_from(bytes.len()).unwrap_or(0));
    }
}
