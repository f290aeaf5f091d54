//! A group of settings: flags, variables of the environment and keys of the file, under one name.
//!
//! Promises: what a group does not know, the file may not have; a flag wins over the environment,
//! and both over the file.
//!
//! Assumes: whoever declares a group has `clap` and `serde`.

/// Declares a group of settings once: clap reads flags and environment into it, serde the file.
#[macro_export]
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$fmeta:meta])* $env:literal $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, clap::Args, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[$fmeta])*
                #[arg(long, env = $env, hide_env_values = true)]
                pub $field: Option<$ty>,
            )*
        }

        impl $name {
            /// The keys of this group in the file.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];

            /// These settings; those of `file` where nothing is said.
            #[must_use]
            pub fn or(self, file: Self) -> Self {
                Self { $($field: self.$field.or(file.$field),)* }
            }
        }
    };
}
