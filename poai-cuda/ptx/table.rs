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
]
