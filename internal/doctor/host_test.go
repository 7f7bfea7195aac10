package doctor

import (
	"path/filepath"
	"testing"
)

func TestFreeOfAFolderThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	if n, err := free(filepath.Join(dir, "a", "b")); err != nil || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
