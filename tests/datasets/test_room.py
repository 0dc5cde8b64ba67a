import subprocess
import sys


def test_the_room_opens_without_keras_or_matplotlib():
    code = (
        "import sys, skkd.datasets\n"
        "heavy = {'keras', 'tensorflow', 'matplotlib', 'kagglehub', 'pydicom'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
