"""A cluster of one process that is measured, and what it takes."""

import base64, json, os, pathlib, re, shutil, signal, ssl, subprocess, sys, tempfile, time
import urllib.error, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Cluster:
    """A cluster of one process, in a data directory of its own that is removed with it."""

    def __init__(self, cox, *options):
        self.cox, self.options, self.process, self.place = cox, options, None, tempfile.mkdtemp(prefix="cox.", dir="/tmp")
        self.data = f"{self.place}/data"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        subprocess.run([self.cox, "down", "--data-dir", self.data], capture_output=True)
        shutil.rmtree(self.place, ignore_errors=True)

    def start(self):
        """Milliseconds until it says that it is ready."""
        self.began = time.monotonic()
        self.out = open(f"{self.place}/out", "w")
        up = [self.cox, "up", "--data-dir", self.data, "--listen", "127.0.0.1:0", *self.options]
        self.process = subprocess.Popen(up, stdout=self.out, stderr=self.out)
        while not re.search("^ready", open(f"{self.place}/out").read(), re.M):
            if self.process.poll() is not None:
                sys.exit(open(f"{self.place}/out").read())
            time.sleep(0.001)
        return (time.monotonic() - self.began) * 1000

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()

    def bench(self, *options):
        """What `cox bench` says."""
        command = [self.cox, "bench", "--data-dir", self.data, "--json", *options]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if said.returncode:
            sys.exit(f"measure: {' '.join(command)} failed")
        return json.loads(said.stdout)

    def first_pod(self):
        """Milliseconds from the start until a pod is accepted."""
        config = open(f"{self.data}/admin.kubeconfig").read()
        field = lambda name: re.search(rf"{name}: (\S+)", config)[1]
        for name in ("certificate-authority", "client-certificate", "client-key"):
            pathlib.Path(f"{self.place}/{name}").write_bytes(base64.b64decode(field(f"{name}-data")))
        context = ssl.create_default_context(cafile=f"{self.place}/certificate-authority")
        context.load_cert_chain(f"{self.place}/client-certificate", f"{self.place}/client-key")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        post = urllib.request.Request(f"{field('server')}/api/v1/namespaces/default/pods", json.dumps(pod).encode(),
                                      {"Content-Type": "application/json"})
        while True:
            try:
                urllib.request.urlopen(post, context=context).close()
                return (time.monotonic() - self.began) * 1000
            except urllib.error.HTTPError as refused:
                if refused.code != 403:
                    raise

    def load(self, image):
        """Gives the node an image, before the start."""
        os.makedirs(self.data, exist_ok=True)
        subprocess.run([self.cox, "image", "load", image, "--data-dir", self.data], check=True, stdout=subprocess.DEVNULL)

    def pids(self):
        """Of cox and of its nats-server."""
        return [self.process.pid, int(open(f"{self.data}/bus/nats-server.pid").read())]

    def resident(self):
        """MiB in RAM of cox and of its nats-server."""
        return [int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) / 1024 for pid in self.pids()]


def cpu(pid):
    """User and system time of a process so far, in seconds."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def web_image(folder):
    """The file of an image with a shell, built in this folder."""
    file = f"{folder}/web.tar"
    subprocess.run([sys.executable, ROOT / "ops/image/build.py", "/bin/busybox", file], check=True)
    return file
