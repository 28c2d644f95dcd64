"""For every case of the benchmark one line: why it is as fast as it is."""

BY_REASON = {
    "A derivative in closed form of what forward computes: one loop a pass, no array "
    "between them.": """
        relu tanh sigmoid leaky_relu prelu elu selu celu silu mish softplus softsign
        log_sigmoid hard_tanh hard_sigmoid relu6 hard_swish squared_relu gelu_tanh""",
    "Both halves' gradients are formed in one loop; autodiff writes each and then "
    "both.": "glu swiglu geglu",
    "Density and tail of the normal distribution share one exponential; autodiff keeps "
    "what erfc chose between.": "gelu",
    "As above; the slopes' gradient is a sum over rows.": "prelu_of_each",
    "Both passes choose nothing, so that XLA runs each as one program that reads its "
    "arrays once; p alone is kept.": "softmax",
    "The exponentials are kept: to compute them again takes longer.": "log_softmax",
    "The exponentials of forward are those of backward, as in autodiff.": "logsumexp",
    "Autodiff's sort is undone by a scatter; by hand the support is a mask.": (
        "sparsemax"
    ),
    "The same products as autodiff's, and nothing else of weight.": """
        linear unembedding queries_keys_values perceptron autoencoder""",
    "One of the products serves forward and a gradient.": "bilinear",
    "The direction's gradient from two sums a column.": "weight_norm",
    "A mask from the same random bits; only its bits are kept.": "dropout",
    "Memory moves, as in autodiff.": "flatten reshape positional_embedding",
    "The two products that autodiff's transpose rules give as convolutions.": """
        convolution convolution_stride_2""",
    "The weight's gradient slides dy over x; autodiff spreads x out with zeros.": (
        "transposed_convolution"
    ),
    "One channel: a product along the rows with a band of weights, for which a "
    "processor is made; a convolution leaves it idle.": "convolution_5x5_of_grey",
    "Sums over the nine places instead of convolutions of one channel each.": (
        "convolution_depthwise"
    ),
    "Windows are views and the winner is kept, where autodiff scatters by comparing "
    "again (select-and-scatter).": "max_pool max_pool_overlapping",
    "A broadcast or a sum of views: one loop.": """
        average_pool average_pool_overlapping global_average_pool upsample_nearest
        upsample_bilinear""",
    "One loop for the maxima of rows, of which only the winner's is searched; autodiff "
    "compares again and shares ties.": "global_max_pool",
    "The sums over features are products with scale, those over rows plain sums; x and "
    "two numbers a row are kept.": "layer_norm",
    "As layer norm, without the mean: x and one number a row are kept.": "rms_norm",
    "xhat again from x and two numbers a set; three sums in the bracket instead of "
    "autodiff's paths.": "batch_norm batch_norm_of_rows group_norm instance_norm",
    "Plain scatter-add, as in autodiff.": "embedding",
    "The angles are known before; backward turns the other way.": "rotary_embedding",
    "Blocks of queries, head after head, weights computed again: they stay in "
    "the cache and are never stored.": """
        attention causal_attention multi_head_attention""",
    "Weight gradients as one product after the scan.": """
        rnn gru lstm lstm_large bidirectional char_lstm""",
    "One difference and its sign or size: a loop and a sum.": """
        absolute_error_mean squared_error_mean quantile total_variation""",
    "Maxima and minima where the usual form chooses, so that the sum writes "
    "nothing.": "huber hinge multiclass_hinge",
    "One exponential for value and slope.": "log_cosh poisson",
    "One quotient for all three gradients.": "gaussian_negative_log_likelihood",
    "The terms with their choices in one loop, then summed as a product with ones.": (
        "focal"
    ),
    "Summed as it is formed, without a choice inside the sum.": (
        "logistic_loss_mean logistic_loss_on_logits jensen_shannon"
    ),
    "As autodiff's, and guarded where a target is 0 only if one is.": "kl_divergence",
    "One entry a row.": "negative_log_likelihood cross_entropy_mean",
    "Exponentials computed once and kept, labels by scatter: as many passes over "
    "memory as autodiff's best form.": "softmax_cross_entropy",
    "Exponentials computed once and kept; dz in one loop over them.": (
        "softmax_cross_entropy_soft"
    ),
    "Logits in chunks, computed again, never stored: one product more than "
    "autodiff's.": "linear_cross_entropy",
    "Plain sums of squares while they neither overflow nor vanish, and lengths by the "
    "largest entry only then.": "cosine_similarity triplet",
    "A softmax between two products.": "info_nce",
    "Three sums an image.": "dice",
    "Alpha is kept, beta a second scan; the softmax of their sum is the share of paths "
    "in a state.": "ctc",
    "The convolutions decide, those of few channels by bands.": "lenet",
    "The convolutions decide; pools and activations are cheaper.": "resnet",
    "Attention in blocks, layer norm by products; each block's residuals are computed "
    "again when they are needed.": "gpt",
}
WHY = {name: why for why, names in BY_REASON.items() for name in names.split()}
