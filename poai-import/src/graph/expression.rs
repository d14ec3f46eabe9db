//! Functions of one number, as exporters spell them out.

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `|x|`.
    Abs,
    /// `eˣ`.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// `1/(1 + e⁻ˣ)`.
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// The largest integer that is not above x.
    Floor,
    /// The least integer that is not below x.
    Ceil,
    /// The nearest integer, halves to even.
    Round,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// −1, 0 or 1.
    Sign,
    /// `ln(1 + eˣ)`.
    Softplus,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a·b`.
    Mul,
    /// `a/b`.
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// `aᵇ`.
    Pow,
    /// 1 if `a < b`, else 0.
    Less,
    /// 1 if `a = b`, else 0.
    Equal,
}

impl Operation {
    /// The result.
    pub fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Operation::Add => a + b,
            Operation::Sub => a - b,
            Operation::Mul => a * b,
            Operation::Div => a / b,
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
            Operation::Pow => a.powf(b),
            Operation::Less => f64::from(u8::from(a < b)),
            Operation::Equal => f64::from(u8::from(a == b)),
        }
    }
}

impl Function {
    /// The function's value.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Function::Abs => x.abs(),
            Function::Exp => x.exp(),
            Function::Log => x.ln(),
            Function::Sqrt => x.sqrt(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Tanh => x.tanh(),
            Function::Erf => libm::erf(x),
            Function::Floor => x.floor(),
            Function::Ceil => x.ceil(),
            Function::Round => x.round_ties_even(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Sign if x == 0.0 => 0.0,
            Function::Sign => x.signum(),
            // ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|), which cannot overflow.
            Function::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        }
    }
}

/// A function of one number `x`, as a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// x.
    X,
    /// A constant.
    Number(f64),
    /// A function of an expression.
    Call(Function, Box<Expression>),
    /// An operation on two expressions.
    Pair(Operation, Box<Expression>, Box<Expression>),
}

/// The most nodes of an expression that layers are composed into.
pub const NODES_MAX: usize = 200;

impl Expression {
    /// A function of x.
    pub fn call(function: Function) -> Expression {
        Expression::X.then(function)
    }

    /// A function of this expression.
    pub fn then(self, function: Function) -> Expression {
        Expression::Call(function, Box::new(self))
    }

    /// An operation on this expression and another.
    pub fn with(self, operation: Operation, other: Expression) -> Expression {
        Expression::Pair(operation, Box::new(self), Box::new(other))
    }

    /// An operation on this expression and a number.
    pub fn by(self, operation: Operation, number: f64) -> Expression {
        self.with(operation, Expression::Number(number))
    }

    /// `max(x, 0)`.
    pub fn relu() -> Expression {
        Expression::X.by(Operation::Max, 0.0)
    }

    /// Whether this is [`Expression::relu`].
    pub fn is_relu(&self) -> bool {
        matches!(self.clip(), Some((low, high)) if low == 0.0 && high == f64::INFINITY)
    }

    /// The bounds, if the expression clips x and does nothing else.
    pub fn clip(&self) -> Option<(f64, f64)> {
        match self {
            Expression::X => Some((f64::NEG_INFINITY, f64::INFINITY)),
            Expression::Pair(operation @ (Operation::Max | Operation::Min), a, b) => {
                let (inner, number) = match (&**a, &**b) {
                    (inner, Expression::Number(number)) | (Expression::Number(number), inner) => {
                        (inner.clip()?, *number)
                    }
                    _ => return None,
                };
                let (low, high) = inner;
                Some(match operation {
                    Operation::Max => (low.max(number), high.max(number)),
                    _ => (low.min(number), high.min(number)),
                })
            }
            _ => None,
        }
    }

    /// Whether some numbers have no value, or an infinite one.
    pub fn is_partial(&self) -> bool {
        match self {
            Expression::X | Expression::Number(_) => false,
            Expression::Call(Function::Log | Function::Sqrt | Function::Exp, _)
            | Expression::Pair(Operation::Div | Operation::Pow, ..) => true,
            Expression::Call(_, inner) => inner.is_partial(),
            Expression::Pair(_, a, b) => a.is_partial() || b.is_partial(),
        }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        match self {
            Expression::X | Expression::Number(_) => 1,
            Expression::Call(_, inner) => 1 + inner.nodes(),
            Expression::Pair(_, a, b) => 1 + a.nodes() + b.nodes(),
        }
    }

    /// This expression with `inner` in place of x.
    pub fn of(&self, inner: &Expression) -> Expression {
        match self {
            Expression::X => inner.clone(),
            Expression::Number(number) => Expression::Number(*number),
            Expression::Call(function, of) => of.of(inner).then(*function),
            Expression::Pair(operation, a, b) => a.of(inner).with(*operation, b.of(inner)),
        }
    }

    /// The function's value.
    pub fn at(&self, x: f64) -> f64 {
        match self {
            Expression::X => x,
            Expression::Number(number) => *number,
            Expression::Call(function, inner) => function.of(inner.at(x)),
            Expression::Pair(operation, a, b) => operation.of(a.at(x), b.at(x)),
        }
    }
}
