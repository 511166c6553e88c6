// SPDX-License-Identifier: Apache-2.0

// Talks with a model: messages from standard input, a line each; answers to standard output.
package main

import (
	"bufio"
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"

	"libminimax/minimax"
)

// turn is the dialogue before a message, and that message.
type turn struct {
	before   *minimax.Snapshot
	message  string
	pictures []*minimax.Image
}

type chat struct {
	engine   *minimax.Engine
	session  *minimax.Session
	sampler  *minimax.Sampler
	turns    []turn
	pictures []*minimax.Image // for the next message
	system   string
	options  minimax.GenerateOptions
}

// worked tells of the first error.
func worked(errs ...error) bool {
	for _, err := range errs {
		if err != nil {
			log.Print("chat: ", err)
			return false
		}
	}
	return true
}

// must ends the program with what nothing can be done about.
func must[T any](value T, err error) T {
	if !worked(err) {
		os.Exit(1)
	}
	return value
}

// ask says a message and streams the answer; whatever fails leaves the dialogue as it was.
func (c *chat) ask(message string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c.turns = append(c.turns, turn{must(c.session.Mark()), message, c.pictures})
	c.pictures = nil
	if c.feed(ctx, c.turns[len(c.turns)-1]) {
		_, err := c.session.Generate(ctx, os.Stdout, c.sampler, &c.options)
		worked(err)
		os.Stdout.WriteString("\n")
	} else {
		c.undo()
	}
}

func (c *chat) feed(ctx context.Context, said turn) bool {
	prompt := must(c.engine.NewPrompt())
	defer prompt.Close()
	var err error
	if tokens := must(c.session.Tokens(0)); len(tokens) > 0 {
		last := must(c.engine.TokenInfo(tokens[len(tokens)-1]))
		err = prompt.EndReply(map[bool]minimax.StopReason{true: minimax.StopToken, false: minimax.StopCancelled}[last.IsStop])
	} else if c.system != "" {
		err = prompt.AddMessage(minimax.RoleSystem, c.system)
	}
	for i := 0; i < len(said.pictures) && err == nil; i++ {
		err = prompt.AddImage(said.pictures[i])
	}
	if !worked(err, prompt.AddMessage(minimax.RoleUser, said.message), prompt.BeginReply()) {
		return false
	}
	_, err = c.session.FeedPrompt(ctx, prompt)
	return worked(err)
}

func (c *chat) undo() (said turn, ok bool) {
	if len(c.turns) == 0 {
		log.Print("there is nothing to take back")
		return said, false
	}
	said, c.turns = c.turns[len(c.turns)-1], c.turns[:len(c.turns)-1]
	return said, worked(c.session.ReturnTo(said.before))
}

func (c *chat) take(line string) {
	command, argument, _ := strings.Cut(line, " ")
	switch command {
	case "":
	case "/quit":
		os.Exit(0)
	case "/system":
		c.system = argument
		fallthrough
	case "/reset":
		c.turns, c.pictures = nil, nil
		worked(c.sampler.Reset(), c.session.Reset())
	case "/image":
		if picture, err := minimax.ImageFromFile(argument); worked(err) {
			c.pictures = append(c.pictures, picture)
		}
	case "/undo", "/retry":
		if said, ok := c.undo(); ok && command == "/retry" {
			c.pictures = said.pictures
			c.ask(said.message)
		}
	case "/save":
		worked(c.session.Save(argument, c.sampler))
	case "/load":
		info, _ := minimax.ReadSessionFileInfo(argument)
		sampler := map[bool]*minimax.Sampler{true: c.sampler}[info.HasSampler]
		if session, err := c.engine.LoadSession(argument, sampler); worked(err) {
			c.session, c.turns = session, nil
		}
	case "/tokens":
		log.Print(must(c.session.Position()), " tokens")
	default:
		if strings.HasPrefix(command, "/") {
			log.Print("/reset /system TEXT /image FILE /undo /retry /save FILE /load FILE /tokens /quit /help, ctrl-C")
		} else {
			c.ask(line)
		}
	}
}

func main() {
	var c chat
	model := flag.String("model", "models/demo", "folder of the model")
	flag.Int64Var(&c.options.MaxTokens, "max-tokens", 2048, "longest answer; 0: until the model ends it")
	flag.Parse()
	log.SetFlags(0)
	c.engine = must(minimax.OpenEngine(context.Background(), *model, nil))
	c.session, c.sampler = must(c.engine.NewSession(nil)), must(c.engine.NewSampler(nil))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		c.take(lines.Text())
	}
}
