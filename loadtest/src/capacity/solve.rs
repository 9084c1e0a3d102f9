//! Least squares with coefficients that are not negative: a cost below nothing is an artefact of noise.
//!
//! Invariant: what the rows do not determine is refused, not guessed.

/// Solves rows of (amounts, measured) for the cost of each amount. `Err` names the column that the rows do not determine.
pub fn costs(rows: &[(Vec<f64>, f64)]) -> Result<Vec<f64>, usize> {
    let width = rows.first().map_or(0, |r| r.0.len());
    let mut used: Vec<usize> = (0..width).collect();
    loop {
        let found = normal_equations(rows, &used)?;
        let Some(worst) = (0..used.len())
            .filter(|i| found[*i] < 0.0)
            .min_by(|a, b| found[*a].total_cmp(&found[*b]))
        else {
            let mut all = vec![0.0; width];
            used.iter()
                .zip(found)
                .for_each(|(column, cost)| all[*column] = cost);
            return Ok(all);
        };
        used.remove(worst);
    }
}

fn normal_equations(rows: &[(Vec<f64>, f64)], used: &[usize]) -> Result<Vec<f64>, usize> {
    // Amounts lie many powers of ten apart; each column is brought to the size of one.
    let size = |c: &usize| rows.iter().map(|(x, _)| x[*c].abs()).fold(0.0, f64::max);
    let sizes: Vec<f64> = used.iter().map(size).collect();
    if let Some(i) = sizes.iter().position(|s| *s <= 0.0 || !s.is_finite()) {
        return Err(used[i]);
    }
    let n = used.len();
    let mut matrix = vec![vec![0.0; n + 1]; n];
    for (x, y) in rows {
        let row: Vec<f64> = used.iter().zip(&sizes).map(|(c, s)| x[*c] / s).collect();
        for i in 0..n {
            (0..n).for_each(|j| matrix[i][j] += row[i] * row[j]);
            matrix[i][n] += row[i] * y;
        }
    }
    let scaled = eliminate(matrix).map_err(|i| used[i])?;
    Ok(scaled.iter().zip(&sizes).map(|(c, s)| c / s).collect())
}

/// Gauss-Jordan with pivoting; `Err` with the column that depends on the others.
fn eliminate(mut m: Vec<Vec<f64>>) -> Result<Vec<f64>, usize> {
    let n = m.len();
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs()))
            .ok_or(column)?;
        if m[pivot][column].abs() < 1e-9 {
            return Err(column);
        }
        m.swap(column, pivot);
        let lead = m[column].clone();
        for (_, row) in m.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = row[column] / lead[column];
            row.iter_mut()
                .zip(&lead)
                .for_each(|(a, b)| *a -= factor * b);
        }
    }
    Ok((0..n).map(|i| m[i][n] / m[i][i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_costs_are_found_again() {
        let rows: Vec<_> = (1..20u32)
            .map(|i| {
                let x = vec![1.0, f64::from(i * i), 1e6 / f64::from(i)];
                let y = 5.0 * x[0] + 0.25 * x[1] + 3e-6 * x[2];
                (x, y)
            })
            .collect();
        let found = costs(&rows).unwrap();
        for (f, want) in found.iter().zip([5.0, 0.25, 3e-6]) {
            assert!((f / want - 1.0).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn nothing_costs_less_than_nothing() {
        let rows: Vec<_> = (1..10u32)
            .map(|i| (vec![f64::from(i), 1.0], 2.0 * f64::from(i) - 1.0))
            .collect();
        let found = costs(&rows).unwrap();
        assert!(found[1] == 0.0 && found[0] > 0.0, "{found:?}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_named() {
        let rows = vec![(vec![1.0, 2.0], 3.0), (vec![2.0, 4.0], 6.0)];
        assert_eq!(costs(&rows), Err(1));
        assert_eq!(costs(&[(vec![1.0, 0.0], 3.0)]), Err(1));
    }
}
