// Forms that an authenticator answers: register a passkey, sign in with one, seal an approval. The server draws the question
// (data-begin), the authenticator answers it, and the form carries the answer (data-field) to the server, which alone judges it.
"use strict";
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  const common = (credential, response) => ({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    extensions: credential.getClientExtensionResults(),
    response,
  });

  const ways = {
    async create({ publicKey }) {
      const made = await navigator.credentials.create({
        publicKey: {
          ...publicKey,
          challenge: bytes(publicKey.challenge),
          user: { ...publicKey.user, id: bytes(publicKey.user.id) },
          excludeCredentials: named(publicKey.excludeCredentials),
        },
      });
      const { attestationObject, clientDataJSON } = made.response;
      const transports = made.response.getTransports ? made.response.getTransports() : [];
      return common(made, {
        attestationObject: text(attestationObject),
        clientDataJSON: text(clientDataJSON),
        transports,
      });
    },
    async get({ publicKey }) {
      const proof = await navigator.credentials.get({
        publicKey: {
          ...publicKey,
          challenge: bytes(publicKey.challenge),
          allowCredentials: named(publicKey.allowCredentials),
        },
      });
      const { authenticatorData, clientDataJSON, signature, userHandle } = proof.response;
      return common(proof, {
        authenticatorData: text(authenticatorData),
        clientDataJSON: text(clientDataJSON),
        signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      });
    },
    async seal(asked) {
      const proof = await navigator.credentials.get({
        publicKey: {
          challenge: bytes(asked.challenge),
          rpId: asked.rp_id,
          allowCredentials: asked.credentials.map((id) => ({ type: "public-key", id: bytes(id) })),
          userVerification: "required",
          timeout: 300000,
        },
      });
      const { authenticatorData, clientDataJSON, signature } = proof.response;
      return {
        credential: text(proof.rawId),
        assertion: {
          nonce: asked.nonce,
          authenticator_data: text(authenticatorData),
          client_data: text(clientDataJSON),
          signature: text(signature),
        },
      };
    },
  };

  class Told extends Error {}

  const ask = async (form) => {
    const sent = new URLSearchParams({ csrf: form.elements.csrf.value });
    if (form.elements.digest) sent.set("digest", form.elements.digest.value);
    const answer = await fetch(form.dataset.begin, { method: "POST", body: sent, redirect: "error" });
    const isJson = (answer.headers.get("content-type") || "").startsWith("application/json");
    if (answer.ok && isJson) return answer.json();
    if ((answer.headers.get("content-type") || "").startsWith("text/plain")) throw new Told(await answer.text());
    throw new Error(`status ${answer.status}`);
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const line = form.querySelector("[role=alert]");
    const button = form.querySelector("button");
    const say = (words) => {
      line.textContent = words;
      line.hidden = !words;
    };
    if (!window.PublicKeyCredential) {
      say(form.dataset.unsupported);
      button.disabled = true;
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      say("");
      button.disabled = true;
      try {
        const answer = await ways[form.dataset.passkey](await ask(form));
        form.elements[form.dataset.field].value = JSON.stringify(answer);
        form.submit();
      } catch (error) {
        say(error instanceof Told ? error.message : form.dataset.cancelled);
        button.disabled = false;
      }
    });
  }
})();
