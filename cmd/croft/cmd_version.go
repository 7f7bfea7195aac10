package main

type versionCmd struct{}

// Run prints the version.
func (v *versionCmd) Run(c console) error {
	c.say("croft %s", version)
	return nil
}
