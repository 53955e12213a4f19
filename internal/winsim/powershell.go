package winsim

import "context"

type library struct{}

func stockTexts() *library { return &library{} }

func (g *Guest) powershell(_ context.Context, c *call) int { return g.badSyntax(c, "powershell") }
