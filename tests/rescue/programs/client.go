// Ask once, as any Go program would: client URL
//
// Go turns keepalive on by itself after it has connected, with 15 s: too long for the lab's firewall.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

func main() {
	host, path, _ := strings.Cut(strings.TrimPrefix(os.Args[1], "http://"), "/")
	connection, err := net.Dial("tcp", host)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(connection, "GET /%s HTTP/1.0\r\n\r\n", path)
	io.Copy(os.Stdout, connection)
}
