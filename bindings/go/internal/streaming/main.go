// SPDX-License-Identifier: Apache-2.0

// Streams a long answer and prints tokens a second: streaming MODEL TOKENS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"libminimax/minimax"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal("streaming: ", err)
	}
	return value
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: streaming MODEL TOKENS")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	engine := must(minimax.OpenEngine(ctx, os.Args[1], nil))
	session, prompt := must(engine.NewSession(nil)), must(engine.NewPrompt())
	if err := prompt.AddMessage(minimax.RoleUser, "Tell me a story."); err != nil {
		log.Fatal("streaming: ", err)
	}
	if err := prompt.BeginReply(); err != nil {
		log.Fatal("streaming: ", err)
	}
	must(session.FeedPrompt(ctx, prompt))
	options := minimax.GenerateOptions{MaxTokens: must(strconv.ParseInt(os.Args[2], 10, 64)), IgnoreStopToken: true}
	sink := must(os.Create(os.DevNull))
	start := time.Now()
	must(session.Generate(ctx, sink, nil, &options))
	fmt.Printf("%.2f\n", float64(options.MaxTokens)/time.Since(start).Seconds())
}
