"""Reads the answer of each model with OpenAI's own client, and says what came
of it: `openai_client.py BASE_URL API MODEL...`."""

import sys

import openai

# An event of type "error" is handed out like any other.
ENDS = "response.completed", "response.incomplete", "response.failed", "error"


def chat_completions(client, model):
    """The pieces of an answer, and why it stopped."""
    messages = [{"role": "user", "content": "What is an event?"}]
    stream = client.chat.completions.create(
        model=model, messages=messages, stream=True
    )
    with stream:
        for chunk in stream:
            choice = chunk.choices[0]
            yield choice.delta.content or "", choice.finish_reason


def responses(client, model):
    stream = client.responses.create(
        model=model, input="What is an event?", stream=True
    )
    with stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta, None
            elif event.type in ENDS:
                yield "", event.type


# More would be an answer without end.
LEAVES_AFTER = 5


def outcome(pieces, most):
    """How much came, why it stopped, and what went wrong."""
    text, reason, error = "", None, "no error"
    try:
        for count, (piece, why) in enumerate(pieces, start=1):
            text, reason = text + piece, why or reason
            if count == most:
                break
    except openai.APIError as caught:
        error = f"{type(caught).__name__}: {caught}"
        if isinstance(caught, openai.APIStatusError):
            after = caught.response.headers.get("retry-after")
            error += f", retry-after {after}"
    return f"{len(text)} characters, {reason or 'no reason'}, {error}"


def main():
    base_url, api, *models = sys.argv[1:]
    read = {"chat": chat_completions, "responses": responses}[api]
    # It sends a question again by itself, twice, unless it is told.
    client = openai.OpenAI(
        base_url=base_url, api_key="any", max_retries=0, timeout=30
    )
    for model in models:
        pieces = read(client, model)
        most = LEAVES_AFTER if model == "endless" else None
        print(outcome(pieces, most), flush=True)
        # With them goes the connection.
        pieces.close()


if __name__ == "__main__":
    main()
