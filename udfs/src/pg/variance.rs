//! Variance and standard deviation of numeric values, exactly: sums in whole numbers of any
//! length, then one division, and a root, to the digits that PostgreSQL chooses.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use num_bigint::{BigInt, Sign};

use super::arithmetic::{decimal_parts, wide};
use super::decimal_math::{Decimal, divide, power_of_ten, sqrt_to};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spread {
    Variance,
    Deviation,
}

/// Of a sample, or of all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Population {
    Sample,
    Whole,
}

/// The aggregate of this name, over one decimal column.
pub fn aggregate(name: &str, returns: DataType) -> Option<Arc<AggregateUDF>> {
    let (spread, population) = match name {
        "variance" | "var_samp" => (Spread::Variance, Population::Sample),
        "var_pop" => (Spread::Variance, Population::Whole),
        "stddev" | "stddev_samp" => (Spread::Deviation, Population::Sample),
        "stddev_pop" => (Spread::Deviation, Population::Whole),
        _ => return None,
    };
    Some(Arc::new(AggregateUDF::from(Variance {
        spread,
        population,
        returns,
        signature: Signature::any(1, Volatility::Immutable),
    })))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Variance {
    spread: Spread,
    population: Population,
    returns: DataType,
    signature: Signature,
}

impl AggregateUDFImpl for Variance {
    fn name(&self) -> &str {
        match (self.spread, self.population) {
            (Spread::Variance, Population::Sample) => "numeric_var_samp",
            (Spread::Variance, Population::Whole) => "numeric_var_pop",
            (Spread::Deviation, Population::Sample) => "numeric_stddev_samp",
            (Spread::Deviation, Population::Whole) => "numeric_stddev_pop",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        let field =
            |name: &str, ty| Arc::new(Field::new(format_state_name(args.name, name), ty, true));
        if args.is_distinct {
            let item = Arc::new(Field::new_list_field(DISTINCT_VALUE, true));
            return Ok(vec![field("distinct", DataType::List(item))]);
        }
        Ok(vec![
            field("count", DataType::Int64),
            field("sum", DataType::Utf8),
            field("squares", DataType::Utf8),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        let ty = args.expr_fields.first().map(|field| field.data_type());
        let (_, scale) = decimal_parts(ty.unwrap_or(&DataType::Null))?;
        let target = Target {
            spread: self.spread,
            population: self.population,
            returns: self.returns.clone(),
            scale: u32::try_from(scale).unwrap_or(0),
        };
        Ok(match args.is_distinct {
            true => Box::new(DistinctMoments {
                values: HashSet::new(),
                target,
            }),
            false => Box::new(MomentsAccumulator {
                moments: Moments::default(),
                target,
            }),
        })
    }
}

/// Values that count once are kept as they are, whatever their scale.
const DISTINCT_VALUE: DataType = DataType::Decimal256(76, 0);

/// Digits after the point of the squares, beyond which nothing shows in the result.
const MOST_DIGITS: u32 = 100;

/// What is to come out, of values of which scale.
#[derive(Debug)]
struct Target {
    spread: Spread,
    population: Population,
    returns: DataType,
    scale: u32,
}

/// Unscaled values: how many, their sum, the sum of their squares.
#[derive(Debug, Default)]
struct Moments {
    count: i64,
    sum: BigInt,
    squares: BigInt,
}

impl Moments {
    fn add(&mut self, value: i256, times: i64) {
        let value = match value.to_i128() {
            Some(value) => BigInt::from(value),
            None => BigInt::from_signed_bytes_le(&value.to_le_bytes()),
        };
        self.count += times;
        self.squares += &value * &value * times;
        self.sum += value * times;
    }

    fn finish(&self, target: &Target) -> Result<ScalarValue> {
        let count = BigInt::from(self.count);
        let divisor = match target.population {
            Population::Whole => &count * &count,
            Population::Sample => &count * (&count - 1),
        };
        if divisor.sign() != Sign::Plus {
            let (precision, scale) = decimal_parts(&target.returns)?;
            return Ok(ScalarValue::Decimal256(None, precision, scale));
        }
        let spread = &count * &self.squares - &self.sum * &self.sum;
        let excess = (2 * target.scale).saturating_sub(MOST_DIGITS);
        let spread = Decimal::new(spread / power_of_ten(excess), 2 * target.scale - excess);
        let variance = divide(&spread, &Decimal::new(divisor, 0))?;
        let value = match target.spread {
            Spread::Variance => variance,
            Spread::Deviation => sqrt_to(&variance, variance.scale)?,
        };
        let (precision, scale) = decimal_parts(&target.returns)?;
        let value = value.rescaled(u32::try_from(scale).unwrap_or(0));
        let unscaled = i256::from_string(&value.unscaled.to_string())
            .filter(|_| value.unscaled.magnitude().to_string().len() <= usize::from(precision))
            .ok_or_else(|| Error::value("22003", "value overflows numeric format"))?;
        Ok(ScalarValue::Decimal256(Some(unscaled), precision, scale))
    }
}

#[derive(Debug)]
struct MomentsAccumulator {
    moments: Moments,
    target: Target,
}

impl MomentsAccumulator {
    fn add(&mut self, values: &[ArrayRef], times: i64) -> DfResult<()> {
        for value in wide(&values[0])?.iter().flatten() {
            self.moments.add(value, times);
        }
        Ok(())
    }
}

impl Accumulator for MomentsAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.add(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.add(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        Ok(self.moments.finish(&self.target)?)
    }

    fn size(&self) -> usize {
        let bits = self.moments.sum.bits() + self.moments.squares.bits();
        size_of_val(self) + bits as usize / 8
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.moments.count)),
            ScalarValue::Utf8(Some(self.moments.sum.to_string())),
            ScalarValue::Utf8(Some(self.moments.squares.to_string())),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let (counts, sums, squares) = (
            states[0].as_primitive::<Int64Type>(),
            states[1].as_string::<i32>(),
            states[2].as_string::<i32>(),
        );
        for row in 0..counts.len() {
            self.moments.count += counts.value(row);
            self.moments.sum += number(sums.value(row))?;
            self.moments.squares += number(squares.value(row))?;
        }
        Ok(())
    }
}

fn number(text: &str) -> DfResult<BigInt> {
    text.parse()
        .map_err(|_| exec_datafusion_err!("a sum is no number: {text}"))
}

#[derive(Debug)]
struct DistinctMoments {
    values: HashSet<i256>,
    target: Target,
}

impl Accumulator for DistinctMoments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.values.extend(wide(&values[0])?.iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut moments = Moments::default();
        for value in &self.values {
            moments.add(*value, 1);
        }
        Ok(moments.finish(&self.target)?)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<i256>()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self
            .values
            .iter()
            .map(|value| ScalarValue::Decimal256(Some(*value), 76, 0))
            .collect();
        let list = ScalarValue::new_list_nullable(&values, &DISTINCT_VALUE);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            let values = list.as_primitive::<Decimal256Type>();
            self.values.extend(values.iter().flatten());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, Decimal128Array};

    use super::*;

    fn of(name: &str, values: &[i128], scale: i8) -> Option<String> {
        let aggregate = aggregate(name, DataType::Decimal256(76, 20)).unwrap();
        let column = Decimal128Array::from_iter_values(values.iter().copied())
            .with_precision_and_scale(38, scale)
            .unwrap();
        let field = Arc::new(Field::new("x", column.data_type().clone(), true));
        let schema = arrow::datatypes::Schema::new(vec![Arc::clone(&field)]);
        let args = |fields| AccumulatorArgs {
            return_field: Arc::new(Field::new("r", DataType::Decimal256(76, 20), true)),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "x",
            is_distinct: false,
            exprs: &[],
            expr_fields: fields,
        };
        let fields = [field];
        // In two halves that are put together.
        let mut whole = aggregate.accumulator(args(&fields)).unwrap();
        let middle = values.len() / 2;
        for (at, count) in [(0, middle), (middle, values.len() - middle)] {
            let mut part = aggregate.accumulator(args(&fields)).unwrap();
            part.update_batch(&[Arc::new(column.slice(at, count))])
                .unwrap();
            let state: Vec<ArrayRef> = part
                .state()
                .unwrap()
                .iter()
                .map(|value| value.to_array().unwrap())
                .collect();
            whole.merge_batch(&state).unwrap();
        }
        match whole.evaluate().unwrap() {
            ScalarValue::Decimal256(value, 76, 20) => value.map(|value| value.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn digits(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn values_are_those_of_postgresql() {
        // 1.5, 2.25, 3.125, with the twenty digits that a column holds.
        let values = [1500, 2250, 3125];
        assert_eq!(of("variance", &values, 3), digits("66145833333333333333"));
        assert_eq!(of("var_pop", &values, 3), digits("44097222222222222222"));
        assert_eq!(of("stddev", &values, 3), digits("81330088733096395985"));
        assert_eq!(of("stddev_pop", &values, 3), digits("66405739377121780694"));
    }

    #[test]
    fn one_value_has_a_spread_only_as_the_whole() {
        assert_eq!(of("variance", &[7], 0), None);
        assert_eq!(of("stddev", &[], 0), None);
        assert_eq!(of("var_pop", &[7], 0), digits("0"));
    }

    #[test]
    fn close_values_far_from_zero_keep_their_spread() {
        let far = 10_i128.pow(30);
        let values = [far, far + 1, far + 2];
        assert_eq!(of("var_samp", &values, 0), digits("100000000000000000000"));
    }
}
