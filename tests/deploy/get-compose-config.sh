#!/bin/sh
# Prints the path of a program that resolves compose files as Docker Compose 2 does, with that program's own library, built
# once from Go's module proxy and kept in ~/.cache/foghorn: compose-config ENV-FILE FILE… prints JSON, or says what is wrong.
set -eu
version=v2.16.2

cache=${FOGHORN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foghorn}
program=$cache/compose-config-$version
if [ ! -x "$program" ]; then
    mkdir -p "$cache"
    go=$("$(dirname "$0")/get-go.sh")
    work=$(mktemp -d "$cache/compose.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat > "$work/main.go" <<'END'
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	options, err := cli.NewProjectOptions(os.Args[2:],
		cli.WithWorkingDirectory(filepath.Dir(os.Args[2])), cli.WithName("test"),
		cli.WithEnvFiles(os.Args[1]), cli.WithDotEnv)
	fail(err)
	project, err := options.LoadProject(context.Background())
	fail(err)
	text, err := project.MarshalJSON()
	fail(err)
	fmt.Println(string(text))
}
END
    cd "$work"
    "$go" mod init compose-config >&2
    "$go" get "github.com/compose-spec/compose-go/v2@$version" >&2
    "$go" mod tidy >&2
    CGO_ENABLED=0 nice "$go" build -trimpath -o compose-config . >&2
    mv compose-config "$program"
fi
echo "$program"
