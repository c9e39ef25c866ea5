-- Grain: one request to the model.
insert into insights.model_calls (
    cache_key, attempt, model, asked_at, seconds, outcome, request, response,
    input_tokens, output_tokens, cost_usd
)
values (
    %(cache_key)s, %(attempt)s, %(model)s, %(asked_at)s, %(seconds)s, %(outcome)s, %(request)s::jsonb,
    %(response)s::jsonb, %(input_tokens)s, %(output_tokens)s, %(cost_usd)s
)
