//! The parameters of a running encoder that the library's safe interface does not offer.
#![allow(unsafe_code, reason = "options of a C++ library, read and written as plain structures")]

use openh264::encoder::Encoder;
use openh264_sys2::{ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, PRO_HIGH, SEncParamExt};

/// Parameters of one encoder. It must have encoded a picture: before that it has none.
pub(super) struct Tuning {
    params: Box<SEncParamExt>,
}

impl Tuning {
    /// Turns on CABAC, which costs a tenth fewer bytes; the next picture is a keyframe. `None` where the library
    /// refuses.
    pub(super) fn new(encoder: &mut Encoder) -> Option<Self> {
        let mut params = Box::<SEncParamExt>::default();
        // SAFETY: the option's value is one `SEncParamExt`, which the library writes and does not keep. It is
        // initialised, since a picture has been encoded.
        let failed = unsafe {
            encoder.raw_api().get_option(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, (&raw mut *params).cast())
        };
        if failed != 0 {
            return None;
        }
        params.iEntropyCodingModeFlag = 1;
        params.sSpatialLayers[0].uiProfileIdc = PRO_HIGH;
        let mut tuning = Self { params };
        tuning.apply(encoder).then_some(tuning)
    }

    /// Sets the quantiser of the pictures to come; whether the library took it.
    pub(super) fn set_quantiser(&mut self, encoder: &mut Encoder, qp: u8) -> bool {
        let layer = &mut self.params.sSpatialLayers[0];
        let same = layer.iDLayerQp == i32::from(qp);
        layer.iDLayerQp = i32::from(qp);
        same || self.apply(encoder)
    }

    fn apply(&mut self, encoder: &mut Encoder) -> bool {
        // SAFETY: the option's value is one `SEncParamExt`, which the library copies. Its sizes are those that the
        // safe interface set, on which that interface relies.
        let failed = unsafe {
            encoder.raw_api().set_option(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, (&raw mut *self.params).cast())
        };
        failed == 0
    }
}
