// Made by scripts/build-kernels.py. Do not edit.
&[
    Ptx {
        file: "check",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("check.compute_61.ptx"),
        entries: &["check"],
    },
    Ptx {
        file: "commit",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("commit.compute_61.ptx"),
        entries: &["commit_chunks", "commit_merge"],
    },
    Ptx {
        file: "commit",
        architecture: Architecture {
            capability: Version { major: 8, minor: 0 },
            only_this: false,
        },
        text: include_str!("commit.compute_80.ptx"),
        entries: &["commit_chunks", "commit_merge"],
    },
    Ptx {
        file: "noise",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("noise.compute_61.ptx"),
        entries: &["noise_rows", "noise_steps", "noise_operand"],
    },
    Ptx {
        file: "product_any",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("product_any.compute_61.ptx"),
        entries: &["product_any"],
    },
    Ptx {
        file: "product_dp4a",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("product_dp4a.compute_61.ptx"),
        entries: &["product_dp4a_plain", "product_dp4a_ticket", "product_dp4a_exact"],
    },
    Ptx {
        file: "product_mma",
        architecture: Architecture {
            capability: Version { major: 8, minor: 0 },
            only_this: false,
        },
        text: include_str!("product_mma.compute_80.ptx"),
        entries: &["product_mma_plain", "product_mma_narrow", "product_mma_ticket", "product_mma_exact"],
    },
    Ptx {
        file: "product_wgmma",
        architecture: Architecture {
            capability: Version { major: 9, minor: 0 },
            only_this: true,
        },
        text: include_str!("product_wgmma.compute_90a.ptx"),
        entries: &["product_wgmma_plain", "product_wgmma_ticket", "product_wgmma_exact"],
    },
    Ptx {
        file: "recover",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("recover.compute_61.ptx"),
        entries: &["recover_factors", "recover_digits", "recover_apply"],
    },
    Ptx {
        file: "steps_attention",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_attention.compute_61.ptx"),
        entries: &["step_attention_weights", "step_relative_attention_weights", "step_row_totals", "step_attention_context"],
    },
    Ptx {
        file: "steps_blocks",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_blocks.compute_61.ptx"),
        entries: &["step_block_scores", "step_block_mix"],
    },
    Ptx {
        file: "steps_gradients",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_gradients.compute_61.ptx"),
        entries: &["step_gate", "step_cross_entropy", "step_normalise_gradient", "step_mean_pool_gradient", "step_unfold_gradient", "step_max_pool_gradient", "step_exponentials", "step_divide_by_sums", "step_softmax_gradient"],
    },
    Ptx {
        file: "steps_move",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_move.compute_61.ptx"),
        entries: &["step_transpose", "step_reshape", "step_unfold", "step_group_unfold", "step_arrange", "step_pool"],
    },
    Ptx {
        file: "steps_norms",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_norms.compute_61.ptx"),
        entries: &["step_normalise", "step_softmax", "step_l2_normalise", "step_mean_pool"],
    },
    Ptx {
        file: "steps_products",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_products.compute_61.ptx"),
        entries: &["step_group_linear", "step_product"],
    },
    Ptx {
        file: "steps_random",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_random.compute_61.ptx"),
        entries: &["step_rescale_random", "step_draw"],
    },
    Ptx {
        file: "steps_rows",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_rows.compute_61.ptx"),
        entries: &["step_linear", "step_add", "step_requantise", "step_mul", "step_scale_columns", "step_relu", "step_table", "step_curve", "step_row_scale", "step_quantise", "step_add_rows", "step_embed"],
    },
    Ptx {
        file: "steps_training",
        architecture: Architecture {
            capability: Version { major: 6, minor: 1 },
            only_this: false,
        },
        text: include_str!("steps_training.compute_61.ptx"),
        entries: &["step_scaled_product", "step_rescale", "step_exponent", "step_row_exponents", "step_row_sum", "step_gather", "step_scatter_add", "step_descend", "step_second_moment", "step_ratio"],
    },
]
