"""Goes over the gRPC interface as an application in Python does: with grpcio, and with what its tools generate from the proto.

The test `grpc::clients::python` starts the service and passes places in the JSON of the one argument. Prints the ids of what it
left in place, as JSON.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

PLACES = json.loads(sys.argv[1])
SERVICE = "bpfman.v1.Bpfman"
# Seconds. Nothing here takes long; what hangs shall fail.
PATIENCE = 20


def generate(protos):
    """Messages and stub, as grpcio-tools make them."""
    folder = tempfile.mkdtemp(dir=PLACES["folder"])
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", protos),
            *("--python_out", folder, "--grpc_python_out", folder),
            str(Path(protos) / "bpfman/v1/bpfman.proto"),
        ],
        check=True,
    )
    sys.path.insert(0, folder)
    from bpfman.v1 import bpfman_pb2, bpfman_pb2_grpc

    return bpfman_pb2, bpfman_pb2_grpc


pb, stubs = generate(PLACES["protos"])
channel = grpc.insecure_channel("unix:" + PLACES["socket"])
client = stubs.BpfmanStub(channel)


def call(method, request):
    return getattr(client, method)(request, timeout=PATIENCE)


def refused(code, method, request, words="", timeout=PATIENCE):
    """Asserts how a request fails."""
    try:
        answer = getattr(client, method)(request, timeout=timeout)
    except grpc.RpcError as error:
        assert error.code() == code, f"{method} {request}: {error}"
        assert words in error.details(), f"{method} {request}: {error}"
    else:
        raise AssertionError(f"{method} {request}: {answer}")


def info(name, program_type):
    return pb.LoadInfo(name=name, program_type=program_type)


def of_file(*programs, **more):
    location = pb.BytecodeLocation(file=PLACES["object"])
    return pb.LoadRequest(bytecode=location, info=programs, **more)


def image(url, policy, **credentials):
    return pb.BytecodeImage(url=url, image_pull_policy=policy, **credentials)


def listed(**request):
    results = call("List", pb.ListRequest(**request)).results
    return [result.kernel_info.id for result in results]


def health():
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ["", SERVICE]:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = check(request, timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    try:
        check(health_pb2.HealthCheckRequest(service="nothing"), timeout=PATIENCE)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
    else:
        raise AssertionError("the health of nothing")


def reflection():
    """What the service says of itself is what the proto says."""
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
    told = DescriptorPool(database).FindServiceByName(SERVICE)
    ours = pb.DESCRIPTOR.services_by_name["Bpfman"]

    def shape(message):
        return {
            (field.name, field.number, field.type, field.is_repeated)
            for field in message.fields
        }

    def methods(service):
        return {
            method.name: (shape(method.input_type), shape(method.output_type))
            for method in service.methods
        }

    assert len(told.methods) == 7
    assert methods(told) == methods(ours)
    messages = told.file.message_types_by_name
    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        assert shape(messages[name]) == shape(message), name


def load():
    programs = [
        info("xdp_count", pb.XDP),
        info("tracepoint_count", pb.TRACEPOINT),
        info("uprobe_count", pb.UPROBE),
    ]
    loaded = call(
        "Load",
        of_file(
            *programs,
            metadata={"owner": "acme", "bpfman.io/actual-type:uprobe_count": "uretprobe"},
            global_data={"step": (3).to_bytes(8, sys.byteorder)},
            map_owner_id=0,
        ),
    ).programs
    assert [program.info.name for program in loaded] == [program.name for program in programs]
    for program in loaded:
        assert program.info.metadata["owner"] == "acme"
        assert program.info.bytecode.file == PLACES["object"]
        assert program.info.global_data["step"][0] == 3
        assert program.kernel_info.loaded_at.endswith("Z")
        assert len(program.kernel_info.tag) == 16
        assert not program.info.HasField("map_owner_id")
        got = call("Get", pb.GetRequest(id=program.kernel_info.id))
        assert got.kernel_info == program.kernel_info
        assert got.info.map_pin_path == program.info.map_pin_path
    return [program.kernel_info.id for program in loaded]


def lists(xdp, tracepoint, uprobe):
    everything = [xdp, tracepoint, uprobe]
    assert listed() == everything
    assert listed(bpfman_programs_only=True) == everything
    assert listed(program_type=pb.TRACEPOINT) == [tracepoint]
    assert listed(program_type=pb.UPROBE) == [], "a return probe is none"
    assert listed(match_metadata={"owner": "acme"}) == everything
    assert listed(match_metadata={"owner": "acme", "team": "net"}) == []
    assert listed(program_type=pb.XDP, match_metadata={"owner": "acme"}) == [xdp]
    assert listed(program_type=pb.XDP, match_metadata={"owner": "other"}) == []


def attach(xdp, tracepoint, uprobe):
    """One link of each; their ids by program."""
    labels = {"team": "net"}
    interface = PLACES["interface"]
    attachments = {
        xdp: pb.AttachInfo(
            xdp_attach_info=pb.XDPAttachInfo(priority=50, iface=interface, metadata=labels)
        ),
        tracepoint: pb.AttachInfo(
            tracepoint_attach_info=pb.TracepointAttachInfo(
                tracepoint="syscalls/sys_enter_getpid", metadata=labels
            )
        ),
        uprobe: pb.AttachInfo(
            uprobe_attach_info=pb.UprobeAttachInfo(
                target=PLACES["target"], fn_name=PLACES["function"], metadata=labels
            )
        ),
    }
    links = {}
    for program, attachment in attachments.items():
        request = pb.AttachRequest(id=program, attach=attachment)
        links[program] = call("Attach", request).link_id
        got = call("Get", pb.GetRequest(id=program))
        assert list(got.info.links) == [links[program]]
    return links


def codes(xdp, tracepoint):
    code = grpc.StatusCode
    unknown = 4_000_000_000
    refused(code.INVALID_ARGUMENT, "Load", pb.LoadRequest(info=[info("a", pb.XDP)]))
    refused(code.INVALID_ARGUMENT, "Load", of_file())
    refused(code.INVALID_ARGUMENT, "Load", of_file(info("", pb.XDP)))
    refused(code.INTERNAL, "Load", of_file(info("nothing", pb.XDP)), "nothing")
    refused(code.INTERNAL, "Load", of_file(info("f", pb.FENTRY)))
    refused(code.NOT_FOUND, "Unload", pb.UnloadRequest(id=unknown))
    refused(code.NOT_FOUND, "Get", pb.GetRequest(id=unknown))
    refused(code.NOT_FOUND, "Detach", pb.DetachRequest(link_id=unknown))
    refused(code.INVALID_ARGUMENT, "List", pb.ListRequest(program_type=9))
    refused(code.INVALID_ARGUMENT, "Attach", pb.AttachRequest(id=xdp))
    empty = pb.AttachInfo()
    refused(code.UNIMPLEMENTED, "Attach", pb.AttachRequest(id=xdp, attach=empty))
    to_tracepoint = pb.AttachInfo(
        tracepoint_attach_info=pb.TracepointAttachInfo(tracepoint="syscalls/sys_enter_getpit")
    )
    attach = pb.AttachRequest(id=tracepoint, attach=to_tracepoint)
    refused(code.NOT_FOUND, "Attach", attach, "sys_enter_getpid")
    attach.id = xdp
    refused(code.FAILED_PRECONDITION, "Attach", attach)
    refused(code.INVALID_ARGUMENT, "PullBytecode", pb.PullBytecodeRequest())
    pull = pb.PullBytecodeRequest(image=image("registry.example/a:v1", 3))
    refused(code.INVALID_ARGUMENT, "PullBytecode", pull)


def images():
    """A program from an image, and registries that do not answer."""
    code = grpc.StatusCode
    url = PLACES["image"]
    pull = pb.PullBytecodeRequest(image=image(url, 2))
    refused(code.INTERNAL, "PullBytecode", pull, "not in cache")
    pull.image.image_pull_policy = 0
    call("PullBytecode", pull)
    # Credentials are for registries that ask for some.
    pull.image.username, pull.image.password = "somebody", "password"
    call("PullBytecode", pull)
    location = pb.BytecodeLocation(image=image(url, 2))
    request = pb.LoadRequest(bytecode=location, info=[info("xdp_count", pb.XDP)])
    program = call("Load", request).programs[0]
    assert program.info.bytecode == location
    call("Unload", pb.UnloadRequest(id=program.kernel_info.id))

    nobody = pb.PullBytecodeRequest(image=image("127.0.0.1:1/acme/a:v1", 0))
    refused(code.INTERNAL, "PullBytecode", nobody, "cannot be reached")
    # However often a connection is left, no request is lost.
    nobody.image.username, nobody.image.password = "somebody", "password"
    for _ in range(50):
        refused(code.INTERNAL, "PullBytecode", nobody, "cannot be reached")
    silent = pb.PullBytecodeRequest(image=image(PLACES["silent"], 0))
    refused(code.DEADLINE_EXCEEDED, "PullBytecode", silent, timeout=0.3)
    pending = client.PullBytecode.future(silent, timeout=PATIENCE)
    pending.cancel()
    assert pending.code() == code.CANCELLED, pending


def main():
    health()
    reflection()
    ids = load()
    lists(*ids)
    links = attach(*ids)
    xdp, tracepoint, uprobe = ids
    codes(xdp, tracepoint)
    images()
    for program in [xdp, uprobe]:
        call("Detach", pb.DetachRequest(link_id=links[program]))
        call("Unload", pb.UnloadRequest(id=program))
    assert listed() == [tracepoint]
    print(json.dumps({"program": tracepoint, "link": links[tracepoint]}))


if __name__ == "__main__":
    main()
