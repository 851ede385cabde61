use crate::units::Seq;
pub(super) fn after_append(_seq: Seq) {}
