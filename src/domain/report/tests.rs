//! Figures against answers known by hand.
