package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestServer(t *testing.T) {
	s := Start(t)
	db := s.DB(t)
	exec := func(sql string) error {
		conn, err := pgx.Connect(t.Context(), db)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.Background()) }()
		_, err = conn.Exec(t.Context(), sql)
		return err
	}
	if err := exec("CREATE TABLE a (n int)"); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{"stop": s.Stop, "kill": s.Kill} {
		if err := end(); err != nil {
			t.Fatal(name, err)
		}
		if err := exec("INSERT INTO a VALUES (1)"); err == nil {
			t.Error(name, "left the server running")
		}
		if err := s.Restart(); err != nil {
			t.Fatal(name, err)
		}
		if err := exec("INSERT INTO a VALUES (1)"); err != nil {
			t.Error(name, err)
		}
	}
}
