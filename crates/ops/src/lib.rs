//! Differentiable tensor operations on candle: the fused spatial sampler, convolution, pooling, dropout, cross-entropy.
