/**
 * The service's Worker with faults that prompts can ask for: it crashes, never comes back, or loses
 * its device. The prompts are those of tests/service_faults_test.ts.
 */

import "../src/server/worker.ts";
import type { ToWorker } from "../src/server/messages.ts";

const scope = globalThis as unknown as { onmessage: (event: MessageEvent<ToWorker>) => void };

const devices: GPUDevice[] = [];
if (globalThis.GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    return device;
  };
}

const FAULTS: Record<string, () => void> = {
  crash: () => {
    throw new Error("a fault that was asked for");
  },
  hang: () => {
    while (true);
  },
  "lose the device": () => devices.forEach((device) => device.destroy()),
};

const usual = scope.onmessage;
scope.onmessage = (event) => {
  const { data } = event;
  if (data.kind === "generate") FAULTS[data.prompt]?.();
  usual(event);
};
