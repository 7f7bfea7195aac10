package main

import "embed"

// scripts are those of the shells.
//
//go:embed completion
var scripts embed.FS

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (s *completionCmd) Help() string {
	return `The script completes commands, flags, files and, from the running cloud, the names of functions and stacks.

Examples, each for the shell's start-up file:

  source <(croft completion bash)      ~/.bashrc
  source <(croft completion zsh)       ~/.zshrc, after compinit
  croft completion fish | source       ~/.config/fish/config.fish`
}

// Run prints the script of a shell.
func (s *completionCmd) Run(c console) error {
	text, err := scripts.ReadFile("completion/croft." + s.Shell)
	if err != nil {
		return err
	}
	_, err = c.out.Write(text)
	return err
}
