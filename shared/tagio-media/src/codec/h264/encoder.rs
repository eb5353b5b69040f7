//! Pictures to access units.

use openh264::{
    OpenH264API,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, QpRange, RateControlMode,
        UsageType, VuiConfig,
    },
};
use tagio_wire::{Rect, Size};

use super::{
    BITRATE_MAX, FrameTarget, LONG_SIDE_MAX, NAME, SHORT_SIDE_MAX, SIDE_MIN, rate::Rate, tuning::Tuning,
};
use crate::{
    Framebuffer, View,
    codec::{EncodeError, colour::Planes},
};

/// One access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H264Frame {
    /// Annex B; a keyframe begins with its parameter sets.
    pub payload: Vec<u8>,
    /// Whether it can be decoded without any frame before it.
    pub is_keyframe: bool,
}

/// Encodes one moving rectangle of a fixed size.
pub struct H264Encoder {
    encoder: Encoder,
    tuning: Tuning,
    planes: Planes,
    rate: Rate,
    size: Size,
}

impl H264Encoder {
    /// An encoder for pictures of `size`, rounded up to even sides. Its first frame is a keyframe.
    ///
    /// # Errors
    /// [`EncodeError::Library`] for sizes that [`Self::accepts`] refuses, or where memory is short.
    pub fn new(size: Size) -> Result<Self, EncodeError> {
        if !Self::accepts(size) {
            return Err(failed(format!("no pictures of {} x {} pixels", size.width, size.height)));
        }
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Off)
            .bitrate(BitRate::from_bps(BITRATE_MAX))
            .max_frame_rate(FrameRate::from_hz(60.0))
            .complexity(Complexity::Low)
            .qp(QpRange::new(1, 51))
            .num_threads(1)
            .skip_frames(false)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .vui(VuiConfig::srgb());
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(failed)?;
        let planes = Planes::new(size);
        // The library makes its parameters with the first picture, and only then are they ours to change.
        encoder.encode(&planes).map_err(failed)?;
        let tuning = Tuning::new(&mut encoder).ok_or_else(|| failed("its parameters are refused"))?;
        Ok(Self { encoder, tuning, rate: Rate::new(planes.size().area()), planes, size })
    }

    /// Whether pictures of `size` can be encoded.
    pub fn accepts(size: Size) -> bool {
        let (long, short) = (size.width.max(size.height), size.width.min(size.height));
        short >= SIDE_MIN && long <= LONG_SIDE_MAX && short <= SHORT_SIDE_MAX
    }

    /// Size of the pictures, as given.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Encodes `rect` of the view, which must be of this encoder's size. `None` where the library gives no frame;
    /// the next one has to be a keyframe then.
    ///
    /// # Errors
    /// [`EncodeError::Library`]; the encoder is of no use any more.
    pub fn encode(
        &mut self,
        view: &View<'_>,
        rect: Rect,
        keyframe: bool,
        target: FrameTarget,
    ) -> Result<Option<H264Frame>, EncodeError> {
        if Size::new(rect.width, rect.height) != self.size || !rect.fits(view.size()) {
            return Err(failed("a picture of another size"));
        }
        self.planes.fill(view, rect).map_err(failed)?;
        let keyframe = keyframe || !self.rate.has_begun();
        let qp = self.rate.quantiser(keyframe, target);
        if !self.tuning.set_quantiser(&mut self.encoder, qp) {
            return Err(failed("its quantiser is refused"));
        }
        if keyframe {
            self.encoder.force_intra_frame();
        }
        let bits = self.encoder.encode(&self.planes).map_err(failed)?;
        let is_keyframe = bits.frame_type() == FrameType::IDR;
        let payload = bits.to_vec();
        if payload.is_empty() {
            return Ok(None);
        }
        self.rate.note(is_keyframe, qp, payload.len());
        Ok(Some(H264Frame { payload, is_keyframe }))
    }

    /// Like [`Self::encode`], of a whole picture.
    ///
    /// # Errors
    /// As there.
    pub fn encode_whole(
        &mut self,
        picture: &Framebuffer,
        keyframe: bool,
        target: FrameTarget,
    ) -> Result<Option<H264Frame>, EncodeError> {
        self.encode(&View::whole(picture), picture.size().rect(), keyframe, target)
    }
}

fn failed(reason: impl ToString) -> EncodeError {
    EncodeError::Library { codec: NAME, reason: reason.to_string() }
}
