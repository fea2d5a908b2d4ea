//! What model servers say, by dialect: from JSON facts to tokens, usage, model and finish reason.
