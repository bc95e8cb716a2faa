//! Trigonometry in degrees, exact where the answer is: `sind(30)` is 0.5. The pieces between 0 and
//! 90 degrees are scaled so that their ends come out right, as PostgreSQL does it.

use crate::error::{Error, Result};

/// An angle that is one.
pub(super) fn angle(degrees: f64) -> Result<f64> {
    if degrees.is_infinite() {
        return Err(Error::value("22003", "input is out of range"));
    }
    Ok(degrees)
}

fn sine_to_30(degrees: f64) -> f64 {
    degrees.to_radians().sin() / 30_f64.to_radians().sin() / 2.0
}

fn cosine_to_60(degrees: f64) -> f64 {
    1.0 - (1.0 - degrees.to_radians().cos()) / (1.0 - 60_f64.to_radians().cos()) / 2.0
}

fn sine_of_quadrant(degrees: f64) -> f64 {
    if degrees <= 30.0 {
        sine_to_30(degrees)
    } else {
        cosine_to_60(90.0 - degrees)
    }
}

fn cosine_of_quadrant(degrees: f64) -> f64 {
    if degrees <= 60.0 {
        cosine_to_60(degrees)
    } else {
        sine_to_30(90.0 - degrees)
    }
}

pub(super) fn sine(degrees: f64) -> f64 {
    let mut angle = degrees % 360.0;
    let mut sign = 1.0;
    if angle < 0.0 {
        (angle, sign) = (-angle, -sign);
    }
    if angle > 180.0 {
        (angle, sign) = (360.0 - angle, -sign);
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
    }
    sign * sine_of_quadrant(angle)
}

pub(super) fn cosine(degrees: f64) -> f64 {
    let mut angle = (degrees % 360.0).abs();
    let mut sign = 1.0;
    if angle > 180.0 {
        angle = 360.0 - angle;
    }
    if angle > 90.0 {
        (angle, sign) = (180.0 - angle, -sign);
    }
    sign * cosine_of_quadrant(angle)
}

/// The angle in the first quadrant and the sign of what it stands for.
fn folded(degrees: f64) -> (f64, f64) {
    let mut angle = degrees % 360.0;
    let mut sign = 1.0;
    if angle < 0.0 {
        (angle, sign) = (-angle, -sign);
    }
    if angle > 180.0 {
        (angle, sign) = (360.0 - angle, -sign);
    }
    if angle > 90.0 {
        (angle, sign) = (180.0 - angle, -sign);
    }
    (angle, sign)
}

pub(super) fn tangent(degrees: f64) -> f64 {
    let (angle, sign) = folded(degrees);
    let one = sine_of_quadrant(45.0) / cosine_of_quadrant(45.0);
    let value = sign * (sine_of_quadrant(angle) / cosine_of_quadrant(angle) / one);
    // No negative zero.
    if value == 0.0 { 0.0 } else { value }
}

pub(super) fn cotangent(degrees: f64) -> f64 {
    let (angle, sign) = folded(degrees);
    let one = cosine_of_quadrant(45.0) / sine_of_quadrant(45.0);
    let value = sign * (cosine_of_quadrant(angle) / sine_of_quadrant(angle) / one);
    if value == 0.0 { 0.0 } else { value }
}

fn arc_sine_of_quadrant(value: f64) -> f64 {
    if value <= 0.5 {
        value.asin() / 0.5_f64.asin() * 30.0
    } else {
        90.0 - value.acos() / 0.5_f64.acos() * 60.0
    }
}

pub(super) fn arc_sine(value: f64) -> f64 {
    if value >= 0.0 {
        arc_sine_of_quadrant(value)
    } else {
        -arc_sine_of_quadrant(-value)
    }
}

pub(super) fn arc_cosine(value: f64) -> f64 {
    if value < 0.0 {
        return 90.0 + arc_sine_of_quadrant(-value);
    }
    if value <= 0.5 {
        90.0 - value.asin() / 0.5_f64.asin() * 30.0
    } else {
        value.acos() / 0.5_f64.acos() * 60.0
    }
}

pub(super) fn arc_tangent(value: f64) -> f64 {
    value.atan() / 1_f64.atan() * 45.0
}

pub(super) fn arc_tangent2(y: f64, x: f64) -> f64 {
    y.atan2(x) / 1_f64.atan() * 45.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_angles_are_exact() {
        assert_eq!([sine(30.0), sine(90.0), sine(210.0)], [0.5, 1.0, -0.5]);
        assert_eq!(
            [cosine(60.0), cosine(90.0), cosine(180.0)],
            [0.5, 0.0, -1.0]
        );
        assert_eq!([tangent(45.0), tangent(135.0)], [1.0, -1.0]);
        assert_eq!(
            [arc_sine(0.5), arc_cosine(0.5), arc_tangent(1.0)],
            [30.0, 60.0, 45.0]
        );
    }
}
