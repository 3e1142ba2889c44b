//! Texts exactly as phones will show them: taken from the bytes that are sealed, never rendered again.

use crate::domain::alert::Text;
use crate::domain::area::Commune;
use crate::domain::device::Provider;
use crate::domain::message::Screen;
use crate::domain::seal::SealedAlert;
use crate::domain::text::ELLIPSIS;
use crate::domain::wording;

/// One language's texts.
#[derive(Clone, Debug)]
pub struct LanguageView {
    /// Its tag.
    pub tag: String,
    /// Its name in itself.
    pub name: String,
    /// What is shown; platforms that show the same stand together.
    pub shown: Vec<Shown>,
}

/// What some platforms show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// *Android · iOS · Web*.
    pub platforms: String,
    /// Title and body.
    pub screen: Screen,
    /// The body was cut to fit.
    pub is_cut: bool,
}

/// The platform as officers call it.
pub fn platform(provider: Provider) -> &'static str {
    match provider {
        Provider::Fcm => "Android",
        Provider::Apns => "iOS",
        Provider::WebPush => "Web",
    }
}

/// Was the text cut to fit? Its end is there when nothing was: the communes, where it names some, or the body.
pub fn is_cut(screen: &Screen, text: &Text, communes: &[Commune], tag: &str) -> bool {
    let whole = screen.body.ends_with(&text.body)
        || wording::concerned(communes, tag).is_some_and(|last| screen.body.ends_with(&last));
    !whole && screen.body.ends_with(ELLIPSIS)
}

/// Every language of a sealed alert, Vietnamese first.
pub fn languages(sealed: &SealedAlert) -> Vec<LanguageView> {
    let mut views: Vec<LanguageView> = sealed
        .screens
        .iter()
        .map(|(language, screens)| {
            let mut shown: Vec<Shown> = Vec::new();
            for provider in Provider::ALL {
                let screen = screens.of(provider);
                let is_cut = sealed
                    .texts
                    .get(language)
                    .is_some_and(|text| is_cut(screen, text, &sealed.communes, language.as_str()));
                match shown.iter_mut().find(|same| same.screen == *screen) {
                    Some(same) => {
                        same.platforms.push_str(" · ");
                        same.platforms.push_str(platform(provider));
                    }
                    None => shown.push(Shown {
                        platforms: platform(provider).to_owned(),
                        screen: screen.clone(),
                        is_cut,
                    }),
                }
            }
            LanguageView {
                tag: language.as_str().to_owned(),
                name: wording::language_name(language.as_str()).to_owned(),
                shown,
            }
        })
        .collect();
    views.sort_by_key(|view| view.tag != "vi");
    views
}
