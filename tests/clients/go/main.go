// Goes over the gRPC interface as an application in Go does: with grpc-go, and with what its tools generate from the proto.
//
// Arguments: the socket, an object file with the program xdp_count, an interface.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/bpfman/v1"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func expect(code codes.Code, what string, err error) {
	if status.Code(err) != code {
		check(fmt.Errorf("%s: %v instead of %v", what, err, code))
	}
}

func main() {
	socket, object, iface := os.Args[1], os.Args[2], os.Args[3]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix:"+socket, grpc.WithInsecure(), grpc.WithBlock())
	check(err)
	defer conn.Close()
	client := pb.NewBpfmanClient(conn)

	loaded, err := client.Load(ctx, &pb.LoadRequest{
		Bytecode: &pb.BytecodeLocation{Location: &pb.BytecodeLocation_File{File: object}},
		Info:     []*pb.LoadInfo{{Name: "xdp_count", ProgramType: pb.BpfmanProgramType_XDP}},
		Metadata: map[string]string{"owner": "acme"},
	})
	check(err)
	id := loaded.Programs[0].KernelInfo.Id

	attached, err := client.Attach(ctx, &pb.AttachRequest{
		Id: id,
		Attach: &pb.AttachInfo{Info: &pb.AttachInfo_XdpAttachInfo{
			XdpAttachInfo: &pb.XDPAttachInfo{Priority: 50, Iface: iface},
		}},
	})
	check(err)
	got, err := client.Get(ctx, &pb.GetRequest{Id: id})
	check(err)
	if len(got.Info.Links) != 1 || got.Info.Links[0] != attached.LinkId {
		check(fmt.Errorf("links %v instead of %d", got.Info.Links, attached.LinkId))
	}

	programType := uint32(pb.BpfmanProgramType_XDP)
	for owner, count := range map[string]int{"acme": 1, "other": 0} {
		listed, err := client.List(ctx, &pb.ListRequest{
			ProgramType:   &programType,
			MatchMetadata: map[string]string{"owner": owner},
		})
		check(err)
		if len(listed.Results) != count {
			check(fmt.Errorf("%d programs of %s", len(listed.Results), owner))
		}
	}

	_, err = client.Load(ctx, &pb.LoadRequest{})
	expect(codes.InvalidArgument, "Load", err)
	_, err = client.Attach(ctx, &pb.AttachRequest{Id: id, Attach: &pb.AttachInfo{}})
	expect(codes.Unimplemented, "Attach", err)
	_, err = client.PullBytecode(ctx, &pb.PullBytecodeRequest{})
	expect(codes.InvalidArgument, "PullBytecode", err)
	_, err = client.Detach(ctx, &pb.DetachRequest{LinkId: 4000000000})
	expect(codes.NotFound, "Detach", err)

	_, err = client.Detach(ctx, &pb.DetachRequest{LinkId: attached.LinkId})
	check(err)
	_, err = client.Unload(ctx, &pb.UnloadRequest{Id: id})
	check(err)
	_, err = client.Get(ctx, &pb.GetRequest{Id: id})
	expect(codes.NotFound, "Get", err)
}
