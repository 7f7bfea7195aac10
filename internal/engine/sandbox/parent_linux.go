package sandbox

import (
	"context"
	"errors"
	"os"
)

func (p *Parent) fork(ctx context.Context, spec JoinSpec, output *os.File, files []*os.File) (int, error) {
	return 0, errors.ErrUnsupported
}
