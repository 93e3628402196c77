# The gradient of SimPO through a small llama (then a qwen2) in PyTorch 2.15, weights by formula:
# name, norm and second entry of each weight's gradient. python simpo_gradient.py > simpo_gradient.txt
import math, torch, torch.nn.functional as F
torch.set_default_dtype(torch.float64)
D,L,H,KV,FF,V=24,2,4,2,40,11; HD=D//H
def make(t,shape,base=0.0,scale=0.5):
    n=math.prod(shape)
    i=torch.arange(n,dtype=torch.float64)
    return (base+scale*torch.sin((i+1)*(0.37+0.11*t))).float().double().reshape(shape).requires_grad_()
def weights(qwen):
    w={};t=0
    def add(name,shape,base=0.0,scale=0.5):
        nonlocal t
        w[name]=make(t,shape,base,scale);t+=1
    add("token_embd.weight",(V,D))
    for l in range(L):
        b=f"blk.{l}."
        add(b+"attn_norm.weight",(D,),1.0,0.2)
        add(b+"attn_q.weight",(D,D)); add(b+"attn_k.weight",(KV*HD,D)); add(b+"attn_v.weight",(KV*HD,D)); add(b+"attn_output.weight",(D,D))
        if qwen: add(b+"attn_q.bias",(D,)); add(b+"attn_k.bias",(KV*HD,)); add(b+"attn_v.bias",(KV*HD,))
        add(b+"ffn_norm.weight",(D,),1.0,0.2)
        add(b+"ffn_gate.weight",(FF,D)); add(b+"ffn_up.weight",(FF,D)); add(b+"ffn_down.weight",(D,FF))
    add("output_norm.weight",(D,),1.0,0.2)
    if not qwen: add("output.weight",(V,D))
    return w
def rope(x,qwen): # (heads, tokens, size)
    T=x.shape[1]; pairs=HD//2
    ang=torch.arange(T,dtype=torch.float64)[:,None]*(10000.0**(-2*torch.arange(pairs)/HD))[None]
    c,s=ang.cos(),ang.sin()
    if qwen:
        a,b=x[...,:pairs],x[...,pairs:]
        return torch.cat([a*c-b*s,a*s+b*c],-1)
    a,b=x[...,0::2],x[...,1::2]
    return torch.stack([a*c-b*s,a*s+b*c],-1).flatten(-2)
def norm(x,w): return x*torch.rsqrt((x*x).mean(-1,keepdim=True)+1e-5)*w
def mean_logp(w,prompt,answer,qwen):
    ids=torch.tensor(prompt+answer); T=len(ids)
    x=w["token_embd.weight"][ids]
    mask=torch.full((T,T),-math.inf).triu(1)
    for l in range(L):
        g=lambda n: w[f"blk.{l}.{n}"]
        h=norm(x,g("attn_norm.weight"))
        lin=lambda n: h@g(n+".weight").T+(g(n+".bias") if qwen else 0)
        q=rope(lin("attn_q").view(T,H,HD).transpose(0,1),qwen)
        k=rope(lin("attn_k").view(T,KV,HD).transpose(0,1),qwen).repeat_interleave(H//KV,0)
        v=lin("attn_v").view(T,KV,HD).transpose(0,1).repeat_interleave(H//KV,0)
        a=torch.softmax(q@k.transpose(1,2)/math.sqrt(HD)+mask,-1)@v
        x=x+a.transpose(0,1).reshape(T,D)@g("attn_output.weight").T
        h=norm(x,g("ffn_norm.weight"))
        x=x+(F.silu(h@g("ffn_gate.weight").T)*(h@g("ffn_up.weight").T))@g("ffn_down.weight").T
    out=w.get("output.weight",w["token_embd.weight"])
    lp=torch.log_softmax(norm(x,w["output_norm.weight"])@out.T,-1)
    n=len(prompt)
    return lp[torch.arange(n-1,T-1),ids[n:]].mean()
for qwen in (False,True):
    w=weights(qwen)
    m=[mean_logp(w,[1,2,3,4],a,qwen) for a in ([5,6,7],[5,8,9,10,2],[3,1])]
    loss=sum(-F.logsigmoid(2.0*(m[c]-m[r]-0.5)) for c,r in ((0,1),(0,2)))/2
    loss.backward()
    print("qwen2" if qwen else "llama","%.9f"%loss.item())
    for n,p in w.items(): print("%s %.7e %.7e"%(n,p.grad.norm().item(),p.grad.flatten()[1].item()))
