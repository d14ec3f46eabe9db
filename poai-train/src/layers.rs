//! The description of a network that is trained.

use crate::error::LayersError;
use crate::numbers::PIXEL;

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// A row of features in −63..=63; 64 stands for 1.
    Features {
        /// The number of features.
        columns: u32,
    },
    /// An image, or a map of features, pixel by pixel, channels last.
    Image {
        /// Rows of pixels.
        height: u32,
        /// Pixels in a row.
        width: u32,
        /// Channels of a pixel.
        channels: u32,
        /// An entry x stands for x·2^−fraction, in 0..=10.
        fraction: u8,
    },
    /// Rows of features, such as the tokens of a text after an encoder.
    Sequence {
        /// The rows of a sample.
        length: u32,
        /// The features of a row.
        columns: u32,
        /// An entry x stands for x·2^−fraction, in 0..=10.
        fraction: u8,
    },
    /// A text of ids. If the layers end in a row for each token, each token's
    /// label is an id, too.
    Tokens {
        /// The number of different ids.
        vocabulary: u32,
        /// The tokens of a sample.
        length: u32,
    },
}

/// What the difference between outputs and labels costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainLoss {
    /// Cross entropy of softmax. A label is the number of a column.
    #[default]
    CrossEntropy,
    /// Half the squared difference from a target, for each column.
    MeanSquares,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainLayer {
    /// `x·Wᵀ`, plus a bias if it has one, for each row.
    Linear {
        /// Output columns.
        outputs: u32,
        /// Whether it has a bias.
        bias: bool,
    },
    /// A linear layer that is not trained, plus `(x·Aᵀ)·Bᵀ`, which is (LoRA,
    /// Hu et al. 2021). B starts at 0.
    Adapted {
        /// Output columns.
        outputs: u32,
        /// Whether the layer has a bias, which is not trained either.
        bias: bool,
        /// The rows of A and the columns of B.
        rank: u32,
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
    /// x·Φ(x), Φ being the standard normal distribution.
    Gelu,
    /// x/(1 + e^−x).
    Silu,
    /// The largest pixel of each square of this size.
    MaxPool {
        /// Height and width of a square.
        size: u32,
    },
    /// The mean of the pixels of each square of this size.
    AveragePool {
        /// Height and width of a square.
        size: u32,
    },
    /// The mean of all pixels of an image, or of all rows of a sample.
    MeanPool,
    /// All pixels of an image, or all rows of a sample, in one row.
    Flatten,
    /// Rows by id plus rows by place: a residual stream.
    Embed {
        /// The columns of the stream.
        width: u32,
    },
    /// Attention of a sample's rows among themselves, and a linear layer.
    Attention {
        /// The number of heads, which divides the columns.
        heads: u32,
        /// Whether a row sees only earlier ones and itself.
        causal: bool,
        /// Whether queries, keys, values and the linear layer have biases.
        bias: bool,
        /// Whether queries, keys and values are one product.
        joined: bool,
    },
    /// The input plus what layers make of it.
    Residual(Vec<TrainLayer>),
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
    /// The norm of each row.
    Norm {
        /// Whether it subtracts the mean (LayerNorm) or not (RMSNorm).
        centre: bool,
        /// Whether it has γ and β, which are trained.
        affine: bool,
    },
    /// In training, a random part of the entries becomes 0, and the others
    /// grow as much (Srivastava et al. 2014).
    Dropout {
        /// Of 256 entries this many become 0: 1 to 192.
        part: u8,
    },
    /// Layers whose parameters are not trained.
    Frozen(Vec<TrainLayer>),
}

impl TrainLayer {
    /// The layer's kind in errors.
    pub fn kind(&self) -> &'static str {
        match self {
            TrainLayer::Linear { .. } => "linear",
            TrainLayer::Adapted { .. } => "adapted",
            TrainLayer::Conv { .. } => "conv",
            TrainLayer::Relu => "relu",
            TrainLayer::Gelu => "gelu",
            TrainLayer::Silu => "silu",
            TrainLayer::MaxPool { .. } => "max pool",
            TrainLayer::AveragePool { .. } => "average pool",
            TrainLayer::MeanPool => "mean pool",
            TrainLayer::Flatten => "flatten",
            TrainLayer::Embed { .. } => "embed",
            TrainLayer::Attention { .. } => "attention",
            TrainLayer::Residual(_) => "residual",
            TrainLayer::Block { .. } => "block",
            TrainLayer::Norm { .. } => "norm",
            TrainLayer::Dropout { .. } => "dropout",
            TrainLayer::Frozen(_) => "frozen",
        }
    }
}

/// A network that is trained, layer by layer.
///
/// The last layer is linear. It gives the logits, one column for each class, or
/// the numbers that come near targets.
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
    loss: TrainLoss,
    operand_gates: bool,
}

impl Layers {
    /// A network of samples that are rows of features.
    pub fn features(columns: u32) -> Layers {
        Layers::of(SampleKind::Features { columns })
    }

    /// A network of images, of whose entries 64 stands for 1.
    pub fn image(height: u32, width: u32, channels: u32) -> Layers {
        Layers::feature_map([height, width], channels, PIXEL as u8)
    }

    /// A network of maps of features, such as the pixels of an image after other
    /// layers, of height and width. An entry x stands for x·2^−fraction.
    pub fn feature_map([height, width]: [u32; 2], channels: u32, fraction: u8) -> Layers {
        Layers::of(SampleKind::Image { height, width, channels, fraction })
    }

    /// A network of samples that are rows of features, whose entries x stand
    /// for x·2^−fraction.
    pub fn sequence(length: u32, columns: u32, fraction: u8) -> Layers {
        Layers::of(SampleKind::Sequence { length, columns, fraction })
    }

    /// A network of texts of ids.
    pub fn tokens(vocabulary: u32, length: u32) -> Layers {
        Layers::of(SampleKind::Tokens { vocabulary, length })
    }

    /// A network of samples of a kind.
    pub fn of(sample: SampleKind) -> Layers {
        Layers { sample, layers: vec![], loss: TrainLoss::CrossEntropy, operand_gates: false }
    }

    /// Trains with another loss.
    pub fn with_loss(mut self, loss: TrainLoss) -> Layers {
        self.loss = loss;
        self
    }

    /// Lets the gradient of a ReLU pass where its operand is positive, if only an
    /// operand reads it. By default it passes where the carrier is.
    ///
    /// An operand rounds small entries to 0, so fewer gradients pass and training
    /// is slower. The published known answers do this.
    pub fn with_operand_gates(mut self) -> Layers {
        self.operand_gates = true;
        self
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
        layers.layer(TrainLayer::Norm { centre: false, affine: false }).layer(last)
    }

    /// An encoder's layer with norms after the sums, as in BERT: attention with
    /// biases, and a feed-forward network with GELU.
    ///
    /// The parameters of encoder layer n, from 0, are "attentionN joined", which has the
    /// rows of queries, then of keys, then of values, "attentionN out", "linear2N" and
    /// "linear2N+1", each with its "… bias", then "gamma2N" and "beta2N" after attention,
    /// and "gamma2N+1" and "beta2N+1".
    pub fn encoder_layer(self, heads: u32, hidden: u32, width: u32) -> Layers {
        let linear = |outputs| TrainLayer::Linear { outputs, bias: true };
        let norm = TrainLayer::Norm { centre: true, affine: true };
        let attention = TrainLayer::Attention { heads, causal: false, bias: true, joined: true };
        let network = vec![linear(hidden), TrainLayer::Gelu, linear(width)];
        self.layer(TrainLayer::Residual(vec![attention]))
            .layer(norm.clone())
            .layer(TrainLayer::Residual(network))
            .layer(norm)
    }

    /// As [`Layers::encoder_layer`], but not trained, except for adapters of a
    /// rank in the feed-forward network. Attention has none, so its product of
    /// queries, keys and values is that of the encoder.
    pub fn adapted_encoder_layer(self, heads: u32, hidden: u32, width: u32, rank: u32) -> Layers {
        let linear = |outputs| TrainLayer::Adapted { outputs, bias: true, rank };
        let norm = || TrainLayer::Norm { centre: true, affine: true };
        let attention = TrainLayer::Attention { heads, causal: false, bias: true, joined: true };
        let attention = TrainLayer::Residual(vec![attention]);
        let network = vec![linear(hidden), TrainLayer::Gelu, linear(width)];
        self.layer(TrainLayer::Frozen(vec![attention, norm()]))
            .layer(TrainLayer::Residual(network))
            .layer(TrainLayer::Frozen(vec![norm()]))
    }

    /// The loss.
    pub fn loss(&self) -> TrainLoss {
        self.loss
    }

    /// Whether gradients of ReLUs pass where operands are positive.
    pub fn operand_gates(&self) -> bool {
        self.operand_gates
    }

    /// What a sample is.
    pub fn sample(&self) -> SampleKind {
        self.sample
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[TrainLayer] {
        &self.layers
    }

    /// The names of the parameters, layer by layer: a weight comes before its bias,
    /// and γ before β.
    ///
    /// # Errors
    /// [`LayersError`] names the layer that does not fit.
    pub fn parameters(&self) -> Result<Vec<String>, LayersError> {
        crate::iteration::parameter_names(self)
    }
}
