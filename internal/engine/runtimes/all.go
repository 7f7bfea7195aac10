package runtimes

// All returns every runtime, one per language.
func All(h Host) []Runtime {
	return []Runtime{
		newPython(h),
		newNode(h),
		provided{},
	}
}
