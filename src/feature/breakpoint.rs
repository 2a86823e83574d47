//! Breakpoints: where the gradient of a feature map jumps along a direction.

/// A kink of `w -> <g, Phi(w)(x)>` near a point `w`: the hyperplane `<n, w> = c`, across which the
/// gradient jumps by `jump n`.
///
/// Along `w + t v` the distance from the hyperplane is `offset + t rate`, and the jump is
/// `jump + t jump_rate`. The breakpoint is at `t = -offset / rate`, and the slope along `v` rises
/// there by `(jump + t jump_rate) |rate|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breakpoint<'a, T> {
    /// The index i of the point.
    pub particle: usize,
    /// The normal `n`, in `R^p`, of any length.
    pub normal: &'a [T],
    /// `<n, w> - c`: 0 on the kink.
    pub offset: T,
    /// `<n, v>`.
    pub rate: T,
    /// The size of the terms of the offset, `|n| |w|` or less: the rounding error of the offset is
    /// a few `eps` times it.
    pub scale: T,
    /// The gradient on the side `<n, w> > c` minus that on the other side, in units of `n`.
    pub jump: T,
    /// The derivative of the jump along `v`.
    pub jump_rate: T,
    /// The gradient that the map returns at `offset = 0`: 0 for the negative side, 1 for the
    /// positive side, and between them for a convex combination.
    pub side: T,
}
