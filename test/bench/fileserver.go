package main

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// fileServer is the floor of large objects: a net/http server that does what an acknowledged PutObject cannot do without, and no more. It takes the
// body through MD5, which is the ETag, and through CRC-32, which the client has sent; syncs the file, moves it to its place and syncs the folder.
// What it has it sends as net/http sends files.
type fileServer struct{ dir string }

// serveFiles serves the folder dir at addr.
func serveFiles(addr, dir string) error {
	f := fileServer{dir}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
			return
		}
		tag, err := f.put(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("ETag", `"`+tag+`"`)
	}))
}

func (f fileServer) put(r *http.Request) (tag string, err error) {
	file, err := os.CreateTemp(f.dir, "put-*")
	if err != nil {
		return "", err
	}
	sum, check := md5.New(), crc32.NewIEEE()
	_, err = io.CopyBuffer(io.MultiWriter(file, sum, check), r.Body, make([]byte, 256<<10))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	if got := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, check.Sum32())); got != r.Header.Get("X-Amz-Checksum-Crc32") {
		return "", errors.Join(fmt.Errorf("the body's checksum is %s", got), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), filepath.Join(f.dir, filepath.Base(r.URL.Path))); err != nil {
		return "", err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(dir.Sync(), dir.Close())
}
