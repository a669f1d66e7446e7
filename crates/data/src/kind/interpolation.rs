//! Reading images between their pixels.

/// A plane of height x width at a point, in pixels from the middle of the first: interpolated linearly, nothing outside.
pub(super) fn bilinear(plane: &[f32], [height, width]: [usize; 2], x: f32, y: f32) -> f32 {
    if !(x > -1.0 && y > -1.0 && x < width as f32 && y < height as f32) {
        return 0.0;
    }
    let (left, top) = (x.floor(), y.floor());
    let (right_part, lower_part) = (x - left, y - top);
    let at = |column: f32, row: f32| {
        let inside = column >= 0.0 && row >= 0.0 && (column as usize) < width && (row as usize) < height;
        if inside { plane[row as usize * width + column as usize] } else { 0.0 }
    };
    let across = |row: f32| at(left, row) * (1.0 - right_part) + at(left + 1.0, row) * right_part;
    across(top) * (1.0 - lower_part) + across(top + 1.0) * lower_part
}
