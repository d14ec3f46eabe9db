//! The description of a network that is trained.

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// A row of features in −63..=63; 64 stands for 1.
    Features {
        /// The number of features.
        columns: u32,
    },
    /// An image, pixel by pixel, channels last; 64 stands for 1.
    Image {
        /// Rows of pixels.
        height: u32,
        /// Pixels in a row.
        width: u32,
        /// Channels of a pixel.
        channels: u32,
    },
    /// A text of ids. Each token's label is an id, too.
    Tokens {
        /// The number of different ids.
        vocabulary: u32,
        /// The tokens of a sample.
        length: u32,
    },
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainLayer {
    /// `x·Wᵀ`, plus a bias if it has one.
    Linear {
        /// Output columns.
        outputs: u32,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Convolution of an image with a bias, by a square kernel of odd size. The
    /// image keeps its size.
    Conv {
        /// Output channels.
        outputs: u32,
        /// The kernel's height and width.
        kernel: u32,
    },
    /// `max(x, 0)`.
    Relu,
    /// The largest pixel of each square of this size.
    MaxPool {
        /// Height and width of a square.
        size: u32,
    },
    /// All pixels of an image in one row.
    Flatten,
    /// Rows by id plus rows by place: a residual stream.
    Embed {
        /// The columns of the stream.
        width: u32,
    },
    /// A transformer's block on a residual stream: attention and a
    /// feed-forward network, each after a norm.
    Block {
        /// The number of heads, which divides the width.
        heads: u32,
        /// The columns within the feed-forward network.
        hidden: u32,
        /// Whether a token sees only earlier ones.
        causal: bool,
        /// Whether norms subtract the mean (LayerNorm) or not (RMSNorm).
        centre: bool,
    },
    /// The norm of a residual stream, before the last linear layer.
    Norm {
        /// Whether it subtracts the mean.
        centre: bool,
    },
}

impl TrainLayer {
    /// The layer's kind in errors.
    pub fn kind(&self) -> &'static str {
        match self {
            TrainLayer::Linear { .. } => "linear",
            TrainLayer::Conv { .. } => "conv",
            TrainLayer::Relu => "relu",
            TrainLayer::MaxPool { .. } => "max pool",
            TrainLayer::Flatten => "flatten",
            TrainLayer::Embed { .. } => "embed",
            TrainLayer::Block { .. } => "block",
            TrainLayer::Norm { .. } => "norm",
        }
    }
}

/// A network that is trained, layer by layer.
///
/// The last layer gives the logits: one column for each class.
///
/// ```
/// use poai_train::Layers;
///
/// let layers = Layers::image(8, 8, 1).conv(12, 3).relu().max_pool(2).flatten().linear(10);
/// assert_eq!(layers.layers().len(), 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    sample: SampleKind,
    layers: Vec<TrainLayer>,
}

impl Layers {
    /// A network of samples that are rows of features.
    pub fn features(columns: u32) -> Layers {
        Layers { sample: SampleKind::Features { columns }, layers: vec![] }
    }

    /// A network of images.
    pub fn image(height: u32, width: u32, channels: u32) -> Layers {
        Layers { sample: SampleKind::Image { height, width, channels }, layers: vec![] }
    }

    /// A network of texts of ids.
    pub fn tokens(vocabulary: u32, length: u32) -> Layers {
        Layers { sample: SampleKind::Tokens { vocabulary, length }, layers: vec![] }
    }

    /// Adds a layer.
    pub fn layer(mut self, layer: TrainLayer) -> Layers {
        self.layers.push(layer);
        self
    }

    /// Adds a linear layer with a bias.
    pub fn linear(self, outputs: u32) -> Layers {
        self.layer(TrainLayer::Linear { outputs, bias: true })
    }

    /// Adds a convolution.
    pub fn conv(self, outputs: u32, kernel: u32) -> Layers {
        self.layer(TrainLayer::Conv { outputs, kernel })
    }

    /// Adds `max(x, 0)`.
    pub fn relu(self) -> Layers {
        self.layer(TrainLayer::Relu)
    }

    /// Adds a max pool.
    pub fn max_pool(self, size: u32) -> Layers {
        self.layer(TrainLayer::MaxPool { size })
    }

    /// Adds a flatten layer.
    pub fn flatten(self) -> Layers {
        self.layer(TrainLayer::Flatten)
    }

    /// A causal transformer with RMSNorm: embeddings, blocks, a norm, and
    /// logits over the vocabulary.
    pub fn transformer(
        vocabulary: u32,
        length: u32,
        width: u32,
        blocks: usize,
        heads: u32,
        hidden: u32,
    ) -> Layers {
        let mut layers = Layers::tokens(vocabulary, length).layer(TrainLayer::Embed { width });
        for _ in 0..blocks {
            layers = layers.layer(TrainLayer::Block { heads, hidden, causal: true, centre: false });
        }
        let last = TrainLayer::Linear { outputs: vocabulary, bias: false };
        layers.layer(TrainLayer::Norm { centre: false }).layer(last)
    }

    /// What a sample is.
    pub fn sample(&self) -> SampleKind {
        self.sample
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[TrainLayer] {
        &self.layers
    }
}
