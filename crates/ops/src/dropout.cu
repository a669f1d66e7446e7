// Dropout: see dropout.rs.

// Each of `groups` neighbouring groups of `length` numbers is kept or not.
KERNEL dropout(const REAL* x, const unsigned char* kept, REAL* y, i64 length, i64 groups, REAL scale) {
    // A product, not a choice: NaN and infinity stay visible.
    EACH(i, length * groups) y[i] = x[i] * (kept[i / (Index)length] ? scale : REAL(0));
}
