// SPDX-License-Identifier: Apache-2.0

package minimax

// #include <minimax.h>
import "C"

// Prompt is messages, tools, pictures and plain pieces, on their way to become tokens. The order of
// rendering is the chat format's: system messages and tools may move.
type Prompt struct {
	*handle[C.minimax_prompt]
}

func freePrompt(at *C.minimax_prompt) { C.minimax_prompt_free(at) }

// NewPrompt makes an empty prompt.
func (e *Engine) NewPrompt() (*Prompt, error) {
	var made *C.minimax_prompt
	err := e.call(func(at *C.minimax_engine) C.minimax_status { return C.minimax_prompt_create(at, &made) })
	if err != nil {
		return nil, err
	}
	return &Prompt{newHandle(made, freePrompt)}, nil
}

// Close gives its memory back.
func (p *Prompt) Close() error {
	p.close()
	return nil
}

// Clear goes back to empty; the chat format stays.
func (p *Prompt) Clear() error {
	return p.call(func(at *C.minimax_prompt) C.minimax_status { return C.minimax_prompt_clear(at) })
}

// SetFormat is for a prompt that is empty.
func (p *Prompt) SetFormat(format ChatFormat) error {
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_set_format(at, C.int32_t(format))
	})
}

// AddMessage adds one message. Nobody can forge a marker by writing it.
func (p *Prompt) AddMessage(role Role, message string) error {
	from, size := text(message)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_add_message(at, C.int32_t(role), nil, from, size)
	})
}

// AddToolResult adds the result of a tool.
func (p *Prompt) AddToolResult(tool, result string) error {
	name, err := cString(tool, "the name of the tool")
	if err != nil {
		return err
	}
	defer free(name)
	from, size := text(result)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_add_message(at, C.MINIMAX_ROLE_TOOL, name, from, size)
	})
}

// AddImage adds a picture for the message that is added next, in front of its text.
func (p *Prompt) AddImage(image *Image) error {
	return image.use(func(image *C.minimax_image) error {
		return p.call(func(at *C.minimax_prompt) C.minimax_status { return C.minimax_prompt_add_image(at, image) })
	})
}

// AddMessagesJSON adds a list of messages as of OpenAI's chat API.
func (p *Prompt) AddMessagesJSON(json string) error {
	from, size := text(json)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_add_messages_json(at, from, size)
	})
}

// SetToolsJSON sets the tools the model may call: a list of objects, rendered as they are written.
func (p *Prompt) SetToolsJSON(json string) error {
	from, size := text(json)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_set_tools_json(at, from, size)
	})
}

// BeginReply ends the messages with the header of the assistant's answer.
func (p *Prompt) BeginReply() error {
	return p.call(func(at *C.minimax_prompt) C.minimax_status { return C.minimax_prompt_begin_reply(at) })
}

// EndReply goes on after an answer that was generated into the session: call it first, then add the
// next message.
func (p *Prompt) EndReply(reason StopReason) error {
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_end_reply(at, C.int32_t(reason))
	})
}

// AddText adds a piece outside any message.
func (p *Prompt) AddText(piece string, flags TokenizeFlags) error {
	from, size := text(piece)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_add_text(at, from, size, C.int32_t(flags))
	})
}

// AddTokens adds tokens outside any message.
func (p *Prompt) AddTokens(tokens []int32) error {
	from, count := cTokens(tokens)
	return p.call(func(at *C.minimax_prompt) C.minimax_status {
		return C.minimax_prompt_add_tokens(at, from, count)
	})
}

// Tokens is what the prompt has become.
func (p *Prompt) Tokens() (tokens []int32, err error) {
	err = p.use(func(at *C.minimax_prompt) error {
		raw, err := list(func(to *C.int32_t, capacity C.size_t, count *C.size_t) C.minimax_status {
			return C.minimax_prompt_tokens(at, to, capacity, count)
		})
		tokens = goTokens(raw)
		return err
	})
	return tokens, err
}

// Text is the rendered text, markers written out.
func (p *Prompt) Text() (s string, err error) {
	err = p.use(func(at *C.minimax_prompt) error {
		raw, err := list(func(to *C.char, capacity C.size_t, count *C.size_t) C.minimax_status {
			return C.minimax_prompt_text(at, to, capacity, count)
		})
		s = goText(raw)
		return err
	})
	return s, err
}
